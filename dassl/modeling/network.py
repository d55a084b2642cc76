"""Upstream's module path of the table of networks."""

from dassl.modeling.parts import NETWORK_REGISTRY, build_network

__all__ = ["NETWORK_REGISTRY", "build_network"]
