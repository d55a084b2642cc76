"""Build a frozen CLIP and a method on it from a configuration, for training and for prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from yacs.config import CfgNode

import clip
from clip.architecture import Architecture
from clip.model import CLIP
from clip.tokenizer import tokenize
from dassl.config import ConfigError
from dassl.utils.phases import phase
from trainers.base.frozen_clip import FrozenCLIP, hold_newest, load_once
from trainers.base.method import Method, Task
from trainers.base.precision import Precision
from trainers.base.templates import dataset_template


def method_settings(cfg: CfgNode, node: str) -> CfgNode:
    """The method's own settings; none where it has no node."""
    return cfg.TRAINER[node] if node else CfgNode()


def build_clip(cfg: CfgNode, precision: Precision, device: torch.device) -> FrozenCLIP:
    """The backbone, frozen.

    Raises:
        dassl.config.ConfigError: INPUT.SIZE or the images' normalisation is not the backbone's.
    """
    name, size = cfg.MODEL.BACKBONE.NAME, tuple(cfg.INPUT.SIZE)
    if cfg.MODEL.BACKBONE.RESIZE_POSITIONS and size[0] != size[1]:
        raise ConfigError(f"INPUT.SIZE is {size}: images have to be square")
    with phase("weights"):
        model = load_once(*weights_of(cfg, precision))
    side = model.visual.input_resolution
    if size != (side, side):
        raise ConfigError(
            f"INPUT.SIZE is {size}, but the backbone {name} takes images of {side} x {side}: set INPUT.SIZE "
            f"({side},{side}), or MODEL.BACKBONE.RESIZE_POSITIONS True to interpolate its positions for {size}"
        )
    check_normalisation(cfg, model.architecture)
    return FrozenCLIP(model, device)


def weights_of(cfg: CfgNode, precision: Precision) -> tuple[str, Callable[[], CLIP]]:
    """Return a key of the backbone's weights as they are on disk now, and what loads them."""
    name = cfg.MODEL.BACKBONE.NAME
    side = cfg.INPUT.SIZE[0] if cfg.MODEL.BACKBONE.RESIZE_POSITIONS else None
    place = Path(name).expanduser()
    files = sorted(place.iterdir()) if place.is_dir() else [place] if place.is_file() else []
    found = [(str(file), stat.st_size, stat.st_mtime_ns) for file in files if (stat := file.stat())]
    key = f"{name} {found} at {side or 'its own size'} in {precision.name}"
    return key, lambda: precision.hold(clip.load(name, side=side)[0])


def hold_weights(cfg: CfgNode, node: str) -> None:
    """Read a run's backbone and vocabulary for the processes that will be forked from this one; on a CPU only.

    Args:
        node: names the method's settings.
    """
    tokenize(["thing"])
    with torch.random.fork_rng(devices=[]):
        hold_newest(*weights_of(cfg, Precision(method_settings(cfg, node).get("PREC", "fp32"), torch.device("cpu"))))


def check_normalisation(cfg: CfgNode, architecture: Architecture) -> None:
    """Refuse a normalisation of images that differs from the one the backbone was trained with, if that is known.

    Raises:
        dassl.config.ConfigError: they differ; the message says what to set.
    """
    mean, std = architecture.mean, architecture.std
    if "normalize" not in cfg.INPUT.TRANSFORMS or mean is None or std is None:
        return
    given = (*cfg.INPUT.PIXEL_MEAN, *cfg.INPUT.PIXEL_STD)
    if any(abs(one - other) > 1e-4 for one, other in zip(given, (*mean, *std), strict=True)):
        raise ConfigError(
            f"INPUT.PIXEL_MEAN and INPUT.PIXEL_STD are {given[:3]} and {given[3:]}, but {cfg.MODEL.BACKBONE.NAME} was "
            f"trained with others: set INPUT.PIXEL_MEAN {list(mean)} INPUT.PIXEL_STD {list(std)}"
        )


def build_method(
    cfg: CfgNode, kind: type[Method], node: str, clip: FrozenCLIP, precision: Precision, classnames: Sequence[str]
) -> Method:
    """A method at its start values, for these classes in this order; `node` names its settings."""
    template = cfg.DATASET.TEMPLATE or dataset_template(cfg.DATASET.NAME, cfg.TRAINER.NAME)
    task = Task(tuple(classnames), template, cfg.DATASET.NAME, cfg.DATASET.ROOT)
    with precision.context():
        return kind(method_settings(cfg, node), clip, task).to(clip.device)
