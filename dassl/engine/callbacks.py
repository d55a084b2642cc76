"""Callbacks: objects whose methods are called at the end of an epoch, a test or a run. Trackers are callbacks.

A plugin registers a class and the run names it in TRAIN.CALLBACKS:

    @CALLBACK_REGISTRY.register()
    class Beep(Callback):
        def on_test_end(self, trainer, split, results):
            print(chr(7))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dassl.utils.registry import Registry

CALLBACK_REGISTRY = Registry("CALLBACK")


class Callback:
    """Base class with empty methods; subclasses override those they need.

    Args:
        cfg: the run's settings.
    """

    def __init__(self, cfg: Any):
        self.cfg = cfg

    def on_epoch_end(self, trainer: Any, epoch: int, means: Mapping[str, float]) -> None:
        """See the means of an epoch's losses, counted from 1, and its learning rate."""

    def on_test_end(self, trainer: Any, split: str, results: Mapping[str, float]) -> None:
        """See the evaluator's results on ``val`` or ``test``."""

    def on_run_end(self, trainer: Any, metrics: Mapping[str, float] | None) -> None:
        """See the final metrics; None where the run was interrupted or failed."""
