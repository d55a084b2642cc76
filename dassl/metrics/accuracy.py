"""Fraction of correct predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def compute_accuracy(output: Tensor | Sequence[Tensor], target: Tensor, topk: Sequence[int] = (1,)) -> list[Tensor]:
    """Per k, the percentage of rows whose label is among the k highest scores.

    Args:
        output: scores (B, C); of a tuple or list the first element.
        target: labels (B,).
        topk: values of k, each at most C.

    Returns:
        Tensors of shape (1,), in percent, one per k.
    """
    scores = output if isinstance(output, Tensor) else output[0]
    ranked = scores.topk(max(topk), dim=1).indices  # (B, max k)
    hit = ranked == target.view(-1, 1)
    return [hit[:, :k].sum().to(torch.float32).mul(100 / len(target)).view(1) for k in topk]
