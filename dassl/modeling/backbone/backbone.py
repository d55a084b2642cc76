"""Base of the networks from images to feature vectors."""

from __future__ import annotations

from torch import nn


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
