"""Small functions that plugins for unlabelled data import: targets, ramps, averaged models."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sharpen_prob(p: Tensor, temperature: float = 2) -> Tensor:
    """Probabilities (B, C) raised to the power ``temperature`` and normalised: above 1 the larger ones gain."""
    raised = p.pow(temperature)
    return raised / raised.sum(1, keepdim=True)


def create_onehot(label: Tensor, num_classes: int) -> Tensor:
    """Labels (B,) as rows (B, C) of zeros and a one, float32."""
    return nn.functional.one_hot(label.long(), num_classes).float()


def reverse_index(data: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Both in reversed order, such as to mix a batch with itself."""
    return data.flip(0), label.flip(0)


def shuffle_index(data: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the same random order."""
    order = torch.randperm(data.shape[0], device=data.device)
    return data[order], label[order]


def sigmoid_rampup(current: float, rampup_length: float) -> float:
    """exp(-5 (1 - x)^2) with x = current / rampup_length within [0, 1]; 1 for no length."""
    if rampup_length == 0:
        return 1.0
    left = 1 - min(max(current / rampup_length, 0.0), 1.0)
    return math.exp(-5 * left * left)


def linear_rampup(current: float, rampup_length: float) -> float:
    """current / rampup_length within [0, 1]; 1 for no length."""
    return min(max(current / rampup_length, 0.0), 1.0) if rampup_length else 1.0


@torch.no_grad()
def ema_model_update(model: nn.Module, ema: nn.Module, alpha: float) -> None:
    """Parameters of ``ema`` become ``alpha`` times themselves plus ``1 - alpha`` times those of ``model``."""
    for mean, new in zip(ema.parameters(), model.parameters(), strict=True):
        mean.mul_(alpha).add_(new, alpha=1 - alpha)
