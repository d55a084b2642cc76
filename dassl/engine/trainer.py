"""Upstream's module path of the trainers."""

from dassl.engine.base import TrainerBase
from dassl.engine.simple import SimpleNet, SimpleTrainer
from dassl.engine.x import TrainerX, TrainerXU

__all__ = ["SimpleNet", "SimpleTrainer", "TrainerBase", "TrainerX", "TrainerXU"]
