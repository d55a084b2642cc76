"""Trainers, and the registry that finds them by name."""

from dassl.engine.base import TrainerBase
from dassl.engine.batch_loop import TrainerX, TrainerXU
from dassl.engine.build import TRAINER_REGISTRY, build_trainer
from dassl.engine.simple import SimpleNet, SimpleTrainer

__all__ = [
    "TRAINER_REGISTRY",
    "SimpleNet",
    "SimpleTrainer",
    "TrainerBase",
    "TrainerX",
    "TrainerXU",
    "build_trainer",
]
