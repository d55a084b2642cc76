"""Uses of a finished run: predict own images, look inside, export, try it on a page."""

from safeio import threads  # noqa: F401  (before torch)
