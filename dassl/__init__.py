"""Training engine with the programming interface of CoOp-style plugins.

The layers, each importing only those to its left: utils, config, metrics, data, optim, modeling, evaluation,
engine.
"""

from safeio import threads  # noqa: F401  (before torch)

__version__ = "1.0.0"
