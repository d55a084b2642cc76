"""Upstream's module path of the trainers."""

from dassl.engine.base import TrainerBase
from dassl.engine.batch_loop import TrainerX, TrainerXU
from dassl.engine.simple import SimpleNet, SimpleTrainer

__all__ = ["SimpleNet", "SimpleTrainer", "TrainerBase", "TrainerX", "TrainerXU"]
