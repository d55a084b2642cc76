"""The learning rate as a function of the epoch, and a thin PyTorch scheduler around it.

With e the epoch (from 0), w the warm-up epochs, d the decay of the schedule, and s = 0 with WARMUP_RECOUNT,
else w::

    e < w    constant: WARMUP_CONS_LR       linear: base * e / w, and WARMUP_MIN_LR at e = 0
    e >= w   base * d(e - w + s) / d(s)

The division makes the schedule start from the base rate wherever it is entered. With SCHEDULE_UNIT step the rate
changes after every step: e is the steps done over the steps of an epoch, no whole number.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from yacs.config import CfgNode

from dassl.config.defaults import choices, with_defaults
from dassl.config.yaml_files import ConfigError
from dassl.utils.names import check_availability

# Decay after some epochs, as a factor.
DECAYS: dict[str, Callable[[Schedule, float], float]] = {
    "single_step": lambda schedule, epoch: schedule.gamma ** (epoch // schedule.steps[-1]),
    "multi_step": lambda schedule, epoch: schedule.gamma ** bisect_right(schedule.steps, epoch),
    "cosine": lambda schedule, epoch: (1 + math.cos(math.pi * epoch / schedule.max_epoch)) / 2,
}
AVAI_SCHEDS = list(DECAYS)


@dataclass(frozen=True)
class Schedule:
    """Learning rate settings of ``cfg.OPTIM``. Epochs are counted from 0."""

    name: str
    max_epoch: int
    steps: tuple[int, ...]
    gamma: float
    warmup_epochs: int
    warmup_type: str
    warmup_constant: float
    warmup_start: float
    recount: bool

    @classmethod
    def from_config(cls, optim_cfg: CfgNode) -> Schedule:
        """Read and check ``cfg.OPTIM``.

        Raises:
            ValueError: unknown schedule or type of warm-up.
        """
        optim_cfg = with_defaults("OPTIM", optim_cfg)
        warmup_epochs = max(optim_cfg.WARMUP_EPOCH, 0)
        check_availability(optim_cfg.LR_SCHEDULER, DECAYS, kind="learning rate schedule")
        if warmup_epochs:
            check_availability(optim_cfg.WARMUP_TYPE, choices("OPTIM.WARMUP_TYPE"), kind="warm-up type")
        return cls(
            name=optim_cfg.LR_SCHEDULER,
            max_epoch=max(optim_cfg.MAX_EPOCH, 1),
            steps=_steps(optim_cfg),
            gamma=optim_cfg.GAMMA,
            warmup_epochs=warmup_epochs,
            warmup_type=optim_cfg.WARMUP_TYPE,
            warmup_constant=optim_cfg.WARMUP_CONS_LR,
            warmup_start=optim_cfg.WARMUP_MIN_LR,
            recount=optim_cfg.WARMUP_RECOUNT,
        )

    def lr(self, epoch: float, base_lr: float) -> float:
        """Learning rate during ``epoch`` for a parameter group with base rate ``base_lr``."""
        if epoch < self.warmup_epochs:
            if self.warmup_type == "constant":
                return self.warmup_constant
            return base_lr * epoch / self.warmup_epochs if epoch else self.warmup_start
        start = 0 if self.recount else self.warmup_epochs
        at_start = self.decay(start) or 1.0  # 0 only if the warm-up takes all epochs: no epoch comes after it
        return base_lr * self.decay(epoch - self.warmup_epochs + start) / at_start

    def decay(self, epoch: float) -> float:
        """Factor after ``epoch`` epochs without warm-up."""
        return DECAYS[self.name](self, epoch)


class EpochScheduler(LRScheduler):
    """Sets the rates of a :class:`Schedule`; ``step()`` is the next epoch. Its state is plain numbers.

    Args:
        steps: of an epoch, where ``step()`` is the next training step; ``last_epoch`` then counts those.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule, steps: int = 1):
        self.schedule, self.steps = schedule, steps
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        epoch = self.last_epoch if self.steps == 1 else self.last_epoch / self.steps
        return [self.schedule.lr(epoch, base_lr) for base_lr in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch, "base_lrs": [float(lr) for lr in self.base_lrs]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to ``last_epoch``, with ``base_lrs`` if given. The schedule itself stays the configuration's."""
        self.last_epoch = int(state_dict["last_epoch"])
        self.base_lrs = list(state_dict.get("base_lrs", self.base_lrs))
        self._last_lr = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr


def build_lr_scheduler(optimizer: Optimizer, optim_cfg: CfgNode, steps: int | None = None) -> EpochScheduler:
    """The schedule that ``optim_cfg`` describes, to be stepped once at the end of each epoch.

    Args:
        steps: of an epoch, where the caller steps the schedule after each of them, as SCHEDULE_UNIT step asks.

    Raises:
        ConfigError: SCHEDULE_UNIT is step, and the caller steps its schedule once an epoch.
    """
    if steps is None and with_defaults("OPTIM", optim_cfg).SCHEDULE_UNIT == "step":
        raise ConfigError(
            "OPTIM.SCHEDULE_UNIT is step, but this trainer changes its rate after whole epochs: set it to epoch"
        )
    return EpochScheduler(optimizer, Schedule.from_config(optim_cfg), max(1, steps or 1))


def _steps(optim_cfg: CfgNode) -> tuple[int, ...]:
    """Epochs of the steps, sorted. A single step that is not positive falls after the last epoch."""
    given: int | Sequence[int] = optim_cfg.STEPSIZE
    steps = tuple(given) if isinstance(given, Sequence) else (given,)
    if not steps:
        raise ValueError("OPTIM.STEPSIZE is empty, expected a list of epochs such as [10] or [10, 20]")
    if optim_cfg.LR_SCHEDULER == "single_step":
        return (steps[-1] if steps[-1] > 0 else max(optim_cfg.MAX_EPOCH, 1),)
    return tuple(sorted(steps))
