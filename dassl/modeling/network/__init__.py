"""Networks and their table."""

from dassl.modeling.network.build import NETWORK_REGISTRY, build_network

__all__ = ["NETWORK_REGISTRY", "build_network"]
