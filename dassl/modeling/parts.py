"""Building of network parts by name; the parts themselves are registered from outside."""

from __future__ import annotations

from typing import Any

from torch import nn

from dassl.utils.names import check_availability
from dassl.utils.registry import Registry


def build_part(registry: Registry, kind: str, name: str, verbose: bool, kwargs: dict[str, Any]) -> nn.Module:
    """Return what a registry holds under a name, called with ``kwargs``. Unknown name: ValueError."""
    check_availability(name, registry.registered_names(), kind=kind.lower())
    if verbose:
        print(f"{kind}: {name}")
    return registry.get(name)(**kwargs)
