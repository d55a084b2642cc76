"""Build the trainer and the callbacks that the settings name."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from dassl.config.defaults import completed
from dassl.engine.callbacks import CALLBACK_REGISTRY, Callback
from dassl.engine.trackers import TRACKERS
from dassl.utils.names import check_availability
from dassl.utils.registry import Registry

TRAINER_REGISTRY = Registry("TRAINER")


def build_trainer(cfg: CfgNode) -> Any:
    """Build the trainer ``cfg.TRAINER.NAME`` with its data and model; missing engine settings get their defaults.

    Raises:
        ValueError: nothing is registered under that name.
    """
    cfg = completed(cfg)
    check_availability(cfg.TRAINER.NAME, TRAINER_REGISTRY.registered_names(), kind="trainer")
    if cfg.VERBOSE:
        print(f"Loading trainer: {cfg.TRAINER.NAME}")
    return TRAINER_REGISTRY.get(cfg.TRAINER.NAME)(cfg)


def build_callbacks(cfg: CfgNode) -> list[Callback]:
    """Return the callbacks that TRAIN.TRACK and TRAIN.CALLBACKS name.

    Raises:
        UserError: a name that is not registered, or a tracker whose package is not installed.
    """
    trackers = [TRACKERS[name](cfg) for name in cfg.TRAIN.TRACK if name in TRACKERS]
    return [*trackers, *(CALLBACK_REGISTRY.get(name)(cfg) for name in cfg.TRAIN.CALLBACKS)]
