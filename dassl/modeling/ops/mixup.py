"""Mixtures of images and their targets (Zhang et al., mixup, ICLR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor


def mixup(
    x1: Tensor, x2: Tensor, y1: Tensor, y2: Tensor, beta: float, preserve_order: bool = False
) -> tuple[Tensor, Tensor]:
    """Mix images (B, C, H, W) and their targets (B, K), each pair by a weight that is drawn from Beta(beta, beta).

    Args:
        preserve_order: the first of a pair gets the larger weight.
    """
    weight = torch.distributions.Beta(beta, beta).sample([len(x1)]).to(x1.device)
    if preserve_order:
        weight = torch.max(weight, 1 - weight)
    of_images, of_targets = weight.view(-1, 1, 1, 1), weight.view(-1, 1)
    return x1 * of_images + x2 * (1 - of_images), y1 * of_targets + y2 * (1 - of_targets)
