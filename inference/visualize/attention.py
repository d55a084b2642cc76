"""Attention of the class token and of the learned tokens in the image encoder, layer by layer.

The blocks use a fused attention that keeps no weights. While `attention_maps` watches, each block's weights are
computed a second time from the same input. Learned tokens then pass through every layer, even if the next layer
replaces them; predictions do not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clip.block import Attention
from clip.deep_tokens import DeepTokens
from clip.substitute import observed
from clip.vision import VisionTransformer
from inference.predictor import Predictor


@dataclass
class AttentionMaps:
    """Fractions of attention on the patches, by layer (1-based).

    Attributes:
        class_token: (B, side, side) of each layer; learned: (B, K, side, side), of the layers that have learned tokens.
    """

    class_token: dict[int, Tensor] = field(default_factory=dict)
    learned: dict[int, Tensor] = field(default_factory=dict)


def weights(attention: Attention, x: Tensor) -> Tensor:
    """Mean over heads of the attention weights: normed input (B, L, D) -> (B, L, L), float32; rows sum to one."""
    q, k, _ = (attention.split_heads(part).float() for part in attention.query_key_value(x))
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1).mean(dim=1)


@contextmanager
def watched(visual: VisionTransformer) -> Iterator[AttentionMaps]:
    """Collect the maps of one pass through an encoder."""
    maps, transformer = AttentionMaps(), visual.transformer
    side = round((len(visual.positional_embedding) - 1) ** 0.5)

    def see(layer: int, x: Tensor, tokens: DeepTokens | None) -> None:
        block = transformer.resblocks[layer - 1]
        of_all = weights(block.attn, block.ln_1(x))
        count, behind = x.shape[1] - 1 - side**2, tokens is None or tokens.at is None
        first_patch, first_token = (1, 1 + side**2) if behind else (1 + count, 1)
        on_patches = of_all[..., first_patch : first_patch + side**2].unflatten(-1, (side, side)).cpu()
        maps.class_token[layer] = on_patches[:, 0]
        if count:
            maps.learned[layer] = on_patches[:, first_token : first_token + count]

    with observed(visual, see):
        yield maps


def attention_maps(predictor: Predictor, images: Tensor) -> tuple[AttentionMaps, AttentionMaps]:
    """Return the maps of frozen CLIP and of the method, from images (B, 3, S, S).

    Raises:
        ValueError: the image encoder is no vision transformer.
    """
    visual = predictor.clip.require_vit("An image of the attention")
    with watched(visual) as before, torch.no_grad(), predictor.precision.context():
        predictor.clip.image_features(images.to(predictor.clip.device))
    with watched(visual) as after:
        predictor.scores(images)
    return before, after


def as_seen(image: Tensor, predictor: Predictor) -> Tensor:
    """Return an encoder's input (3, S, S) as an image (S, S, 3) in 0..1."""
    settings = predictor.run.cfg.INPUT
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (settings.PIXEL_MEAN, settings.PIXEL_STD))
    return (image * deviation + mean).clamp(0, 1).permute(1, 2, 0)
