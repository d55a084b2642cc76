"""Heads and their table."""

from dassl.modeling.head.build import HEAD_REGISTRY, build_head

__all__ = ["HEAD_REGISTRY", "build_head"]
