"""Calibration of probabilities: expected calibration error, negative log-likelihood, Brier score, and accuracy
over coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

BINS = 15
COVERAGES = tuple(k / 10 for k in range(1, 11))


class Calibration:
    """Collects what the metrics need of logits, batch by batch: three numbers an image, never the logits."""

    def __init__(self) -> None:
        self._confidence: list[Tensor] = []
        self._correct: list[Tensor] = []
        self._nll = self._brier = 0.0

    def process(self, logits: Tensor, labels: Tensor) -> None:
        """Take in logits (B, C) and labels (B,)."""
        log_p = torch.log_softmax(logits.detach().float(), dim=1)
        own = log_p.gather(1, labels.to(log_p.device)[:, None]).squeeze(1)
        p = log_p.exp()
        confidence, predicted = p.max(dim=1)
        self._confidence.append(confidence.cpu())
        self._correct.append((predicted == labels.to(predicted.device)).cpu())
        self._nll -= own.double().sum().item()
        # sum over classes of (p - [class is the label])^2 = sum p^2 - 2 p_label + 1
        self._brier += (p.square().sum(dim=1) - 2 * own.exp() + 1).double().sum().item()

    def result(self) -> dict[str, Any] | None:
        """Return the metrics; None where nothing was processed or scores were not finite.

        Returns:
            ``ece`` in percent over 15 bins of equal width; ``nll`` in nats and ``brier`` (0 to 2), means over images;
            ``coverage``: [fraction, accuracy in percent of the fraction of images with the highest confidence].
        """
        if not self._confidence:
            return None
        confidence = torch.cat(self._confidence).double().numpy()
        correct = torch.cat(self._correct).numpy()
        count = len(confidence)
        if not np.isfinite([self._nll, self._brier, confidence.sum()]).all():
            return None
        return {
            "ece": 100.0 * expected_calibration_error(confidence, correct),
            "nll": self._nll / count,
            "brier": self._brier / count,
            "coverage": accuracy_over_coverage(confidence, correct),
            "images": count,
        }


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> float:
    """Return sum over bins of (images in it / all) |accuracy - mean confidence|; bins (k/15, (k+1)/15]."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=correct.astype(float) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def accuracy_over_coverage(confidence: np.ndarray, correct: np.ndarray) -> list[list[float]]:
    """Return [fraction, accuracy in percent] of the most confident images; of equal confidence the first come first."""
    ordered = correct[np.argsort(-confidence, kind="stable")]
    counts = [max(1, round(fraction * len(ordered))) for fraction in COVERAGES]
    return [[fraction, 100.0 * float(ordered[:n].mean())] for fraction, n in zip(COVERAGES, counts, strict=True)]
