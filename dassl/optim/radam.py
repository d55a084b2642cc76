"""Upstream's module path of rectified Adam (Liu et al., On the Variance of the Adaptive Learning Rate and Beyond)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import AdamW

__all__ = ["AdamW", "PlainRAdam", "RAdam"]


class RAdam(torch.optim.RAdam):
    """torch's RAdam with upstream's arguments; weights decay, not gradients.

    Raises:
        ValueError: ``degenerated_to_sgd`` is false: torch has no rectified Adam that skips the first steps.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        degenerated_to_sgd: bool = True,
    ):
        if not degenerated_to_sgd:
            raise ValueError("RAdam(degenerated_to_sgd=False) is not supported: leave it out, the first steps are SGD")
        super().__init__(params, lr, betas, eps, weight_decay, decoupled_weight_decay=True)


PlainRAdam = RAdam
