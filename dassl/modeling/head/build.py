"""Table of heads."""

from __future__ import annotations

from typing import Any

from torch import nn

from dassl.modeling.parts import build_part
from dassl.utils.registry import Registry

HEAD_REGISTRY = Registry("HEAD")


def build_head(name: str, verbose: bool = True, **kwargs: Any) -> nn.Module:
    """A registered head; ``kwargs`` go to it. Unknown name: ValueError."""
    return build_part(HEAD_REGISTRY, "Head", name, verbose, kwargs)
