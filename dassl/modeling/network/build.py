"""Table of networks."""

from __future__ import annotations

from typing import Any

from torch import nn

from dassl.modeling.parts import build_part
from dassl.utils.registry import Registry

NETWORK_REGISTRY = Registry("NETWORK")


def build_network(name: str, verbose: bool = True, **kwargs: Any) -> nn.Module:
    """A registered network; ``kwargs`` go to it. Unknown name: ValueError."""
    return build_part(NETWORK_REGISTRY, "Network", name, verbose, kwargs)
