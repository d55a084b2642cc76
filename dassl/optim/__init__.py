"""Optimisers and learning rate schedules."""

from dassl.optim.lr_schedule import build_lr_scheduler
from dassl.optim.optimizer import build_optimizer

__all__ = ["build_lr_scheduler", "build_optimizer"]
