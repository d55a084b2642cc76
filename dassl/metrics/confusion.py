"""Metrics of a confusion matrix."""

from __future__ import annotations

import numpy as np


def confusion_matrix(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels that occur in either (K,), ascending, and counts (K, K): rows true, columns predicted."""
    labels, positions = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    rows, columns = positions[: len(true)], positions[len(true) :]
    counts = np.bincount(rows * len(labels) + columns, minlength=len(labels) ** 2)
    return labels, counts.reshape(len(labels), len(labels))


def macro_f1(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean over classes that images have of F1 = 2 hits / (images + predictions), 0 to 1."""
    _, counts = confusion_matrix(true, predicted)
    images, predictions = counts.sum(axis=1), counts.sum(axis=0)
    occurs = images > 0
    return float(np.mean(2 * counts.diagonal()[occurs] / (images + predictions)[occurs]))
