"""Upstream's module path of the learning rate schedules, and its schedulers that warm up before another begins."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dassl.optim.schedules import AVAI_SCHEDS, build_lr_scheduler

__all__ = ["AVAI_SCHEDS", "ConstantWarmupScheduler", "LinearWarmupScheduler", "build_lr_scheduler"]


class WarmupScheduler(LRScheduler):
    """Rates of its own for some epochs, then those of a successor, which is stepped from there on.

    Args:
        successor: a scheduler of the same optimiser; warmup_epoch: for how many epochs it waits.
        verbose: has no effect; published code still gives it.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        successor: LRScheduler,
        warmup_epoch: int,
        last_epoch: int = -1,
        verbose: bool = False,
    ):
        self.successor, self.warmup_epoch = successor, warmup_epoch
        super().__init__(optimizer, last_epoch)

    def warmup_lr(self) -> list[float]:
        """Return the rate of each parameter group in an epoch of the warm-up."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        return self.successor.get_last_lr() if self.last_epoch >= self.warmup_epoch else self.warmup_lr()

    def step(self, epoch: int | None = None) -> None:
        if self.last_epoch >= self.warmup_epoch:
            self.successor.step(epoch)
            self._last_lr = self.successor.get_last_lr()
        else:
            super().step(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return numbers alone, the successor's among them: safe loading takes no objects."""
        return {"last_epoch": self.last_epoch, "base_lrs": self.base_lrs, "successor": self.successor.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.successor.load_state_dict(state_dict["successor"])
        self.last_epoch, self.base_lrs = state_dict["last_epoch"], state_dict["base_lrs"]
        self._last_lr = self.get_lr()


class ConstantWarmupScheduler(WarmupScheduler):
    """Warms up at the rate ``cons_lr``."""

    def __init__(
        self,
        optimizer: Optimizer,
        successor: LRScheduler,
        warmup_epoch: int,
        cons_lr: float,
        last_epoch: int = -1,
        verbose: bool = False,
    ):
        self.cons_lr = cons_lr
        super().__init__(optimizer, successor, warmup_epoch, last_epoch, verbose)

    def warmup_lr(self) -> list[float]:
        return [self.cons_lr for _ in self.base_lrs]


class LinearWarmupScheduler(WarmupScheduler):
    """Warms up from the rate ``min_lr`` in the first epoch by equal steps to the base rate."""

    def __init__(
        self,
        optimizer: Optimizer,
        successor: LRScheduler,
        warmup_epoch: int,
        min_lr: float,
        last_epoch: int = -1,
        verbose: bool = False,
    ):
        self.min_lr = min_lr
        super().__init__(optimizer, successor, warmup_epoch, last_epoch, verbose)

    def warmup_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [self.min_lr for _ in self.base_lrs]
        return [rate * self.last_epoch / self.warmup_epoch for rate in self.base_lrs]
