"""Freeze, count and initialise the layers of a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from dassl.utils.names import check_availability

INITIALISERS = {
    "normal": lambda weight, gain: nn.init.normal_(weight, 0.0, gain),
    "xavier": lambda weight, gain: nn.init.xavier_normal_(weight, gain),
    "kaiming": lambda weight, gain: nn.init.kaiming_normal_(weight, a=0, mode="fan_in"),
    "orthogonal": lambda weight, gain: nn.init.orthogonal_(weight, gain),
}


def open_all_layers(model: nn.Module) -> None:
    """Training mode and gradients for every parameter."""
    model.train()
    model.requires_grad_(True)


def open_specified_layers(model: nn.Module, open_layers: str | list[str]) -> None:
    """Training mode and gradients for the named direct children only; the others are frozen, in eval mode.

    Raises:
        ValueError: no child has that name.
    """
    wanted = [open_layers] if isinstance(open_layers, str) else list(open_layers)
    children = dict(model.named_children())
    for name in wanted:
        check_availability(name, children, kind="layer")
    for name, child in children.items():
        child.train(name in wanted)
        child.requires_grad_(name in wanted)


def count_num_param(model: nn.Module | None = None, params: Iterable[Any] | dict | None = None) -> int:
    """Number of values in a model, or in ``params`` (tensors, or groups with a ``params`` entry)."""
    if model is not None:
        return sum(parameter.numel() for parameter in model.parameters())
    if params is None:
        raise ValueError("Give a model or parameters to count")
    if isinstance(params, dict):
        return count_num_param(params=params["params"])
    return sum(count_num_param(params=p) if isinstance(p, dict) else p.numel() for p in params)


def init_network_weights(model: nn.Module, init_type: str = "normal", gain: float = 0.02) -> None:
    """Draw new weights for convolutions and linear layers; biases 0; normalisation layers 1 and 0.

    Args:
        init_type: normal (standard deviation ``gain``), xavier, kaiming or orthogonal.
    """
    check_availability(init_type, INITIALISERS, kind="initialisation")

    @torch.no_grad()
    def initialise(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            INITIALISERS[init_type](module.weight, gain)
        elif isinstance(module, nn.modules.batchnorm._NormBase) and module.affine:
            nn.init.ones_(module.weight)
        else:
            return
        if module.bias is not None:
            nn.init.zeros_(module.bias)

    model.apply(initialise)


def parameters_sha256(models: Iterable[nn.Module]) -> str:
    """Return a checksum over all parameters and buffers, bit by bit: two runs that ended alike have the same.

    A model may tell the name that a parameter had before it was renamed (`former_name`), so that the checksum stays.
    """
    digest = hashlib.sha256()
    for model in models:
        former_name = getattr(model, "former_name", str)
        for name, value in model.state_dict().items():
            digest.update(former_name(name).encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
