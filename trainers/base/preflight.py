"""Look at the data and weights of planned runs before any of them starts: one message for one cause."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

from yacs.config import CfgNode

import clip
from dassl.config import ConfigBuilder
from dassl.data.datasets import build_dataset
from dassl.engine import TRAINER_REGISTRY
from safeio.errors import for_people

DATA = ("NAME", "ROOT", "SUBSAMPLE_CLASSES", "NUM_SHOTS", "ALLOW", "VAL_SHARE")
"""Settings of DATASET that decide what is read."""


def problems(builders: Iterable[ConfigBuilder]) -> dict[str, int]:
    """Return what is wrong with the data and weights of runs, and how many runs each cause would stop.

    Every dataset is built and every backbone loaded once, however many runs share it.
    """
    found: dict[str, int] = {}
    known: dict[Hashable, str | None] = {}
    for builder in builders:
        for key, look in _looks(builder.cfg):
            if key not in known:
                known[key] = _message(look)
            if (message := known[key]) is not None:
                found[message] = found.get(message, 0) + 1
    return found


def _looks(cfg: CfgNode) -> Iterable[tuple[Hashable, Callable[[], Any]]]:
    """Return what to look at for a run, each under a key that runs with the same need share."""
    yield ("data", *(str(cfg.DATASET[name]) for name in DATA)), partial(_build_and_verify, cfg)
    if hasattr(TRAINER_REGISTRY.get(cfg.TRAINER.NAME), "method_class"):  # a plugin may have backbones of its own
        yield ("weights", cfg.MODEL.BACKBONE.NAME), partial(clip.load, cfg.MODEL.BACKBONE.NAME)


def _build_and_verify(cfg: CfgNode) -> None:
    dataset = build_dataset(cfg)
    if hasattr(dataset, "verify"):
        dataset.verify()


def _message(look: Callable[[], Any]) -> str | None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # each run says the same in its own log
            look()
    except Exception as error:
        return for_people(error) or f"{type(error).__name__}: {error}"
    return None
