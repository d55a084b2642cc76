"""Temperature scaling (Guo et al., 2017): one number that the logits are divided by, fitted on validation images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

HIGHEST = 1000.0
"""The temperature lies between this and its inverse; a perfect prediction of all images has none."""
STEPS = 60


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T > 0 at which softmax(logits / T) has the lowest negative log-likelihood.

    The likelihood is convex in b = 1 / T. Its slope, the mean over images of (expected logit - logit of the label),
    grows with b and is 0 at the optimum, which is found by halving an interval of log b.

    Args:
        logits: (N, C). labels: (N,).
    """
    logits = logits.detach().double().cpu()
    logits = logits - logits.amax(dim=1, keepdim=True)
    own = logits.gather(1, labels.cpu()[:, None]).mean()
    low, high = -math.log(HIGHEST), math.log(HIGHEST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        expected = (torch.softmax(logits * math.exp(middle), dim=1) * logits).sum(dim=1).mean()
        low, high = (low, middle) if expected > own else (middle, high)
    return math.exp(-(low + high) / 2)
