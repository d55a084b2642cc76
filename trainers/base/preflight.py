"""Check data, weights and settings of planned runs before any of them starts, with one message for each cause."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

import torch
from yacs.config import CfgNode

from dassl.config import ConfigBuilder
from dassl.data.datasets import build_dataset
from dassl.engine import TRAINER_REGISTRY
from safeio.errors import for_people
from trainers.base.build import build_clip, build_method, method_settings
from trainers.base.frozen_clip import one_copy_of_weights
from trainers.base.precision import Precision

DATA = ("NAME", "ROOT", "SUBSAMPLE_CLASSES", "NUM_SHOTS", "ALLOW", "VAL_FRACTION")
"""Settings of DATASET that decide what is read."""
CPU = torch.device("cpu")


def problems(builders: Iterable[ConfigBuilder], here: bool = True) -> dict[str, int]:
    """Return each fault of the runs' data, weights and settings, with the number of runs that it would stop.

    Every dataset, backbone and method with its settings is built once, however many runs share it.

    Args:
        here: whether the runs are for this machine, so that its device is checked too.
    """
    found: dict[str, int] = {}
    known: dict[Hashable, str | None] = {}
    with one_copy_of_weights():
        for builder in builders:
            for key, look in _looks(builder.cfg, here):
                if key not in known:
                    known[key] = _message(look)
                if (message := known[key]) is not None:
                    found[message] = found.get(message, 0) + 1
                    break  # what comes later needs this
    return found


def _looks(cfg: CfgNode, here: bool) -> Iterable[tuple[Hashable, Callable[[], Any]]]:
    """Return what to look at for a run, each under a key that runs with the same need share."""
    yield ("data", *(str(cfg.DATASET[name]) for name in DATA)), partial(_build_and_verify, cfg)
    trainer = TRAINER_REGISTRY.get(cfg.TRAINER.NAME)
    if not hasattr(trainer, "method_class"):  # a plugin may have backbones of its own
        return
    node = trainer.settings_node
    settings = method_settings(cfg, node)
    if here:
        name = settings.get("PREC", "fp32")
        device = torch.device("cuda" if cfg.USE_CUDA and torch.cuda.is_available() else "cpu")
        yield ("precision", name, device.type), partial(Precision, name, device)
    yield (
        ("method", cfg.TRAINER.NAME, str(settings), str(cfg.MODEL), str(cfg.INPUT), cfg.DATASET.NAME),
        partial(_build_method, cfg, trainer.method_class, node),
    )


def _build_and_verify(cfg: CfgNode) -> None:
    dataset = build_dataset(cfg)
    if hasattr(dataset, "verify"):
        dataset.verify()


def _build_method(cfg: CfgNode, kind: type, node: str) -> None:
    """Build the method for one class, as every run does before it reads data."""
    precision = Precision("fp32", CPU)
    with torch.random.fork_rng(devices=[]):
        build_method(cfg, kind, node, build_clip(cfg, precision, CPU), precision, ["thing"])


def _message(look: Callable[[], Any]) -> str | None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # each run says the same in its own log
            look()
    except Exception as error:
        return for_people(error) or f"{type(error).__name__}: {error}"
    return None
