"""Upstream's module path of the table of backbones."""

from dassl.modeling.parts import BACKBONE_REGISTRY, Backbone, build_backbone

__all__ = ["BACKBONE_REGISTRY", "Backbone", "build_backbone"]
