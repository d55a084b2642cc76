"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from yacs.config import CfgNode

from dassl.config.defaults import with_defaults
from dassl.utils.names import check_availability


def _adam(optim: CfgNode) -> dict[str, Any]:
    return {"betas": (optim.ADAM_BETA1, optim.ADAM_BETA2), "eps": optim.ADAM_EPS}


# Each makes the optimiser's own arguments; learning rate and weight decay go to all of them.
OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], Callable[[CfgNode], dict[str, Any]]]] = {
    "adam": (torch.optim.Adam, _adam),
    "amsgrad": (torch.optim.Adam, lambda o: {**_adam(o), "amsgrad": True}),
    "sgd": (
        torch.optim.SGD,
        lambda o: {"momentum": o.MOMENTUM, "dampening": o.SGD_DAMPNING, "nesterov": o.SGD_NESTEROV},
    ),
    "rmsprop": (torch.optim.RMSprop, lambda o: {"momentum": o.MOMENTUM, "alpha": o.RMSPROP_ALPHA}),
    # Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, decay the weights, not the
    # gradient.
    "radam": (torch.optim.RAdam, lambda o: {**_adam(o), "decoupled_weight_decay": True}),
    "adamw": (torch.optim.AdamW, _adam),
}
AVAI_OPTIMS = list(OPTIMIZERS)


def build_optimizer(
    model: nn.Module | Iterable[Any], optim_cfg: CfgNode, param_groups: Iterable[Any] | None = None
) -> torch.optim.Optimizer:
    """The optimiser ``optim_cfg.NAME``.

    Args:
        model: a module, all of whose parameters are taken, trainable or not (those without a gradient stay as
            they are); or parameters, or groups of them.
        optim_cfg: ``cfg.OPTIM``; keys that it lacks have the engine's defaults.
        param_groups: used in place of ``model``'s parameters.

    Raises:
        ValueError: unknown optimiser; STAGED_LR without a module, or with NEW_LAYERS that it does not have.
    """
    optim_cfg = with_defaults("OPTIM", optim_cfg)
    check_availability(optim_cfg.NAME, OPTIMIZERS, kind="optimizer")
    make, arguments = OPTIMIZERS[optim_cfg.NAME]
    if param_groups is None:
        if optim_cfg.STAGED_LR:
            param_groups = _staged_groups(model, optim_cfg)
        else:
            param_groups = model.parameters() if isinstance(model, nn.Module) else model
    return make(param_groups, lr=optim_cfg.LR, weight_decay=optim_cfg.WEIGHT_DECAY, **arguments(optim_cfg))


def _staged_groups(model: nn.Module, optim_cfg: CfgNode) -> list[dict[str, Any]]:
    """NEW_LAYERS (direct children) at the full rate, the rest at LR * BASE_LR_MULT."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"OPTIM.STAGED_LR needs a module, got {type(model).__name__}")
    new_layers = [optim_cfg.NEW_LAYERS] if isinstance(optim_cfg.NEW_LAYERS, str) else list(optim_cfg.NEW_LAYERS)
    for name in new_layers:
        check_availability(name, dict(model.named_children()), kind="layer in OPTIM.NEW_LAYERS")
    new = [p for name, p in model.named_parameters() if name.split(".")[0] in new_layers]
    base = [p for name, p in model.named_parameters() if name.split(".")[0] not in new_layers]
    return [{"params": base, "lr": optim_cfg.LR * optim_cfg.BASE_LR_MULT}, {"params": new}]
