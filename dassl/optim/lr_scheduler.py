"""Upstream's module path of the learning rate schedules."""

from dassl.optim.lr_schedule import AVAI_SCHEDS, build_lr_scheduler

__all__ = ["AVAI_SCHEDS", "build_lr_scheduler"]
