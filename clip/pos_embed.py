"""Interpolate a trained image encoder's position embeddings for another image size."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

VIT, RESNET = "visual.positional_embedding", "visual.attnpool.positional_embedding"
RESNET_STRIDE = 32
"""Pixels between neighbouring positions of a ResNet's last stage."""


def resize_positions(weights: Mapping[str, Tensor], side: int) -> dict[str, Tensor]:
    """The same weights for images of `side` x `side` pixels.

    The positions' grid is interpolated bicubically, with antialiasing where it shrinks, as open_clip_torch does for
    vision transformers; the class token's row (of a ResNet, the mean's) stays. What is trained at one size is less
    accurate at another: this is a start for training, or a compromise.

    Raises:
        ValueError: `side` is no multiple of the patch size (32 pixels for a ResNet).
    """
    name = VIT if VIT in weights else RESNET
    stride = weights["visual.conv1.weight"].shape[-1] if name == VIT else RESNET_STRIDE
    if side < stride or side % stride:
        near = max(1, round(side / stride)) * stride
        raise ValueError(
            f"images of {side} x {side} cannot be cut into patches of {stride} pixels: set INPUT.SIZE "
            f"to a multiple, such as ({near},{near})"
        )
    first, grid = weights[name][:1], weights[name][1:]
    old, new = round(len(grid) ** 0.5), side // stride
    if old == new:
        return dict(weights)
    square = grid.float().reshape(1, old, old, -1).permute(0, 3, 1, 2)  # (1, D, old, old)
    square = F.interpolate(square, size=(new, new), mode="bicubic", antialias=True, align_corners=False)
    grid = square.permute(0, 2, 3, 1).reshape(new * new, -1).to(first.dtype)
    return {**weights, name: torch.cat([first, grid])}
