"""Trainers and their table."""

from dassl.engine.base import TrainerBase
from dassl.engine.build import TRAINER_REGISTRY, build_trainer
from dassl.engine.simple import SimpleNet, SimpleTrainer
from dassl.engine.x import TrainerX, TrainerXU

__all__ = [
    "TRAINER_REGISTRY",
    "SimpleNet",
    "SimpleTrainer",
    "TrainerBase",
    "TrainerX",
    "TrainerXU",
    "build_trainer",
]
