"""Tables of network parts; the parts themselves are registered from outside."""

from __future__ import annotations

from typing import Any

from torch import nn

from dassl.utils.names import check_availability
from dassl.utils.registry import Registry

BACKBONE_REGISTRY = Registry("BACKBONE")
HEAD_REGISTRY = Registry("HEAD")
NETWORK_REGISTRY = Registry("NETWORK")


class Backbone(nn.Module):
    """A network from images to feature vectors; its constructor sets ``_out_features``, their length."""

    _out_features: int

    @property
    def out_features(self) -> int | None:
        """Length of the feature vectors; None where the constructor did not set it."""
        return getattr(self, "_out_features", None)

    @out_features.setter
    def out_features(self, length: int) -> None:
        self._out_features = length


def _build(registry: Registry, kind: str, name: str, verbose: bool, kwargs: dict[str, Any]) -> nn.Module:
    check_availability(name, registry.registered_names(), kind=kind.lower())
    if verbose:
        print(f"{kind}: {name}")
    return registry.get(name)(**kwargs)


def build_backbone(name: str, verbose: bool = True, **kwargs: Any) -> nn.Module:
    """A registered backbone; ``kwargs`` go to it (``pretrained``). Unknown name: ValueError."""
    return _build(BACKBONE_REGISTRY, "Backbone", name, verbose, kwargs)


def build_head(name: str, verbose: bool = True, **kwargs: Any) -> nn.Module:
    """A registered head; ``kwargs`` go to it. Unknown name: ValueError."""
    return _build(HEAD_REGISTRY, "Head", name, verbose, kwargs)


def build_network(name: str, verbose: bool = True, **kwargs: Any) -> nn.Module:
    """A registered network; ``kwargs`` go to it. Unknown name: ValueError."""
    return _build(NETWORK_REGISTRY, "Network", name, verbose, kwargs)
