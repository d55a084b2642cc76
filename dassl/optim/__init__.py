"""Optimisers and learning rate schedules."""

from dassl.optim.optimizer import build_optimizer
from dassl.optim.schedules import build_lr_scheduler

__all__ = ["build_lr_scheduler", "build_optimizer"]
