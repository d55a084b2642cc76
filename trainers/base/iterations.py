"""Trainings with a number of iterations for each shot, independent of the classes, in one or more stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from yacs.config import CfgNode

from dassl.engine.batch_loop import zip_lazily
from dassl.optim.schedules import EpochScheduler
from trainers.base.trainer import ClipTrainer

LAST_RATE = 1e-6
"""Learning rate at the end of the cosine."""


@dataclass(frozen=True)
class CosineStages:
    """Learning rate of each iteration: in each stage a cosine from the base rate to LAST_RATE over its `lengths`."""

    lengths: tuple[int, ...]

    def lr(self, iteration: int, base_lr: float) -> float:
        for length in self.lengths:
            if iteration < length:
                return LAST_RATE + (base_lr - LAST_RATE) * (1 + math.cos(math.pi * iteration / length)) / 2
            iteration -= length
        return LAST_RATE


class IterationTrainer(ClipTrainer):
    """Passes over the loader until all iterations are done; a stage begins with a new pass.

    The number of iterations is N_ITERS times the shots; without shots, on all images, it is OPTIM.MAX_EPOCH epochs.
    """

    schedule_unit = "step"

    @classmethod
    def unread(cls, cfg: CfgNode) -> dict[str, str]:
        if cfg.DATASET.NUM_SHOTS > 0:
            found = {"OPTIM.MAX_EPOCH": "it trains for N_ITERS iterations a shot"}
        else:
            found = {f"TRAINER.{cls.settings_node}.N_ITERS": "without shots it trains for OPTIM.MAX_EPOCH epochs"}
        return super().unread(cfg) | found

    def stages(self, iterations: int) -> Sequence[int]:
        """Return the iterations of each stage."""
        return [iterations]

    def build_schedule(self) -> EpochScheduler:
        """Lay out the epochs, then the rate of each iteration."""
        cfg, self.passes = self.cfg, max(1, len(self.train_loader_x))
        shots = cfg.DATASET.NUM_SHOTS
        total = self.settings.N_ITERS * shots if shots > 0 else cfg.OPTIM.MAX_EPOCH * self.passes
        lengths = tuple(self.stages(total))
        self.plan = [  # stage and iterations of each epoch
            (stage, min(self.passes, length - done))
            for stage, length in enumerate(lengths)
            for done in range(0, length, self.passes)
        ]
        self.max_epoch = len(self.plan)
        return EpochScheduler(self.optim, CosineStages(lengths))

    def run_epoch(self) -> None:
        count = self.plan[self.epoch][1]
        self.run_batches(islice(zip_lazily(self.train_loader_x), count), count)
