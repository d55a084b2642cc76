"""Upstream's module path of the table of heads."""

from dassl.modeling.parts import HEAD_REGISTRY, build_head

__all__ = ["HEAD_REGISTRY", "build_head"]
