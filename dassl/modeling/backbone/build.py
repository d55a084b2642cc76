"""Table of backbones."""

from __future__ import annotations

from typing import Any

from torch import nn

from dassl.modeling.parts import build_part
from dassl.utils.registry import Registry

BACKBONE_REGISTRY = Registry("BACKBONE")


def build_backbone(name: str, verbose: bool = True, **kwargs: Any) -> nn.Module:
    """A registered backbone; ``kwargs`` go to it (``pretrained``). Unknown name: ValueError."""
    return build_part(BACKBONE_REGISTRY, "Backbone", name, verbose, kwargs)
