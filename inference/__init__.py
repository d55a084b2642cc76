"""Uses of a finished run: prediction, figures of attention and features, export, demonstration page."""

from safeio import threads  # noqa: F401  (before torch)
