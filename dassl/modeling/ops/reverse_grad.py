"""The gradient reversal of domain-adversarial training (Ganin and Lempitsky, ICML 2015)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None


class ReverseGrad(nn.Module):
    """Return x, whose gradient is multiplied by minus a weight."""

    def forward(self, x: Tensor, grad_scaling: float = 1.0) -> Tensor:
        return _Reverse.apply(x, grad_scaling)
