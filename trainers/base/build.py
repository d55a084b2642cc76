"""From a configuration to a frozen CLIP and a method on it; training and prediction both begin here."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from yacs.config import CfgNode

import clip
from clip.architecture import Architecture
from dassl.config import ConfigError
from trainers.base.frozen_clip import FrozenCLIP, share
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
    resize = cfg.MODEL.BACKBONE.RESIZE_POSITIONS
    if resize and size[0] != size[1]:
        raise ConfigError(f"INPUT.SIZE is {size}: images have to be square")
    side = size[0] if resize else None
    weights = f"{name} at {side or 'its own size'} in {precision.name}"
    model = share(weights, lambda: precision.hold(clip.load(name, side=side)[0]))
    side = model.visual.input_resolution
    if size != (side, side):
        raise ConfigError(
            f"INPUT.SIZE is {size}, but the backbone {name} takes images of {side} x {side}: set INPUT.SIZE "
            f"({side},{side}), or MODEL.BACKBONE.RESIZE_POSITIONS True to interpolate its positions for {size}"
        )
    check_normalisation(cfg, model.architecture)
    return FrozenCLIP(model, device)


def check_normalisation(cfg: CfgNode, architecture: Architecture) -> None:
    """Images must be normalised as those that the backbone was trained on, where that is known.

    Raises:
        dassl.config.ConfigError: they are not; says what to set.
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
