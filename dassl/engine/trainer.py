"""Upstream's module path of the trainers, and what method files of the family import through it."""

from __future__ import annotations

from typing import Any

from dassl.data.data_manager import DataManager
from dassl.engine.base import TrainerBase
from dassl.engine.batch_loop import TrainerX, TrainerXU
from dassl.engine.build import TRAINER_REGISTRY, build_trainer
from dassl.engine.simple import SimpleNet, SimpleTrainer
from dassl.evaluation.build import build_evaluator
from dassl.modeling import build_backbone, build_head
from dassl.optim.lr_scheduler import build_lr_scheduler
from dassl.optim.optimizer import build_optimizer
from dassl.utils.meters import AverageMeter, MetricMeter
from dassl.utils.tools import mkdir_if_missing, tolist_if_not
from dassl.utils.torchtools import (
    count_num_param,
    load_checkpoint,
    load_pretrained_weights,
    resume_from_checkpoint,
    save_checkpoint,
)

__all__ = [
    "TRAINER_REGISTRY",
    "AverageMeter",
    "DataManager",
    "MetricMeter",
    "SimpleNet",
    "SimpleTrainer",
    "TrainerBase",
    "TrainerX",
    "TrainerXU",
    "build_backbone",
    "build_evaluator",
    "build_head",
    "build_lr_scheduler",
    "build_optimizer",
    "build_trainer",
    "count_num_param",
    "load_checkpoint",
    "load_pretrained_weights",
    "mkdir_if_missing",
    "resume_from_checkpoint",
    "save_checkpoint",
    "tolist_if_not",
]


def __getattr__(name: str) -> Any:
    if name == "SummaryWriter":  # slow to import, and optional
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
