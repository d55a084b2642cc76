"""Learned prompts for the lower layers of an encoder: new ones at each layer up to a depth; above it they pass on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dassl.config import ConfigError
from dassl.config.coercion import AUTO

EMBEDDED = 0
"""The layer number of the image encoder's embedded input, before its first norm."""


class LayerPrompts:
    """Deep tokens (`clip.deep_tokens`) that are replaced at some layers and pass on unchanged at the others.

    Args:
        by_layer: prompts (K, D) by the 1-based layer at whose input they stand, EMBEDDED for the embedded input.
        count: K.
        at: position of the first; None: after the last.
    """

    def __init__(self, by_layer: Mapping[int, Tensor], count: int, at: int | None):
        self.by_layer, self.count, self.at = by_layer, count, at
        self.grow_at = EMBEDDED if EMBEDDED in by_layer else None  # None: a context holds their places

    def tokens(self, layer: int, previous: Tensor | None) -> Tensor | None:
        return self.by_layer.get(layer)

    def replaced_at(self, layer: int) -> bool:
        return layer in self.by_layer


def image_prompts(prompts: Sequence[Tensor]) -> LayerPrompts | None:
    """Return prompts after the patches: the first at the embedded input, then at layers 2, 3, ...; None without any."""
    if not len(prompts):
        return None
    layers = [EMBEDDED, *range(2, len(prompts) + 1)]
    return LayerPrompts(dict(zip(layers, prompts, strict=True)), len(prompts[0]), at=None)


def text_prompts(context: Tensor, deeper: Sequence[Tensor]) -> LayerPrompts:
    """Return prompts at the positions of a context after the start token, replaced at layers 2, 3, ..."""
    return LayerPrompts(dict(enumerate(deeper, start=2)), len(context), at=1)


def random_prompts(layers: int, count: int, width: int) -> nn.ParameterList:
    """Prompts (K, D) for some layers, normal with deviation 0.02."""
    return nn.ParameterList(torch.empty(count, width).normal_(std=0.02) for _ in range(layers))


def by_depth(setting: int | str, chosen: int) -> int:
    """Return a setting that is a layer or a number of layers; for `auto`, `chosen`, which depends on the depth."""
    return chosen if setting in ("", AUTO) else int(setting)


def check_depth(key: str, depth: int | str, layers: int, least: int = 0) -> int:
    """Return the number of layers with prompts of their own; `auto` is three quarters of them (9 of 12, as published).

    Raises:
        dassl.config.ConfigError: the encoder does not have that many, or the method needs more.
    """
    depth = by_depth(depth, max(1, 3 * layers // 4))
    if not least <= depth <= layers:
        none = "" if least else "; 0: no prompt"
        raise ConfigError(
            f"{key} is {depth}; it must be from {least} to {layers}, the layers of this backbone's encoder{none} "
            f"(auto: chosen by their number)"
        )
    return depth
