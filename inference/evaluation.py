"""Result of classifying images of known classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Counts of a classification.

    Attributes:
        classes: names, in the order of the matrix.
        confusion: (C, C) counts, true class by row, predicted class by column.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray

    @classmethod
    def of(cls, true: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> Evaluation:
        """Return the counts of labels (N,) and predictions (N,)."""
        count = len(classes)
        return cls(tuple(classes), np.bincount(true * count + predicted, minlength=count**2).reshape(count, count))

    @property
    def accuracy(self) -> float:
        """Fraction of right answers, in percent."""
        return 100 * float(np.trace(self.confusion)) / max(1, int(self.confusion.sum()))

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that occur or are predicted, in percent."""
        right = np.diag(self.confusion)
        total = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        return 100 * float(np.mean((2 * right[total > 0]) / total[total > 0])) if total.any() else 0.0

    @property
    def per_class(self) -> dict[str, float]:
        """Accuracy of each class that has images, in percent."""
        counts = self.confusion.sum(axis=1)
        return {
            name: 100 * float(self.confusion[i, i]) / int(counts[i]) for i, name in enumerate(self.classes) if counts[i]
        }

    def to_pandas(self) -> pandas.DataFrame:
        """Return the confusion matrix as a table."""
        import pandas

        return pandas.DataFrame(self.confusion, index=list(self.classes), columns=list(self.classes))

    def __repr__(self) -> str:
        count = int(self.confusion.sum())
        return f"<{count} images, accuracy {self.accuracy:.1f} %, macro F1 {self.macro_f1:.1f} %>"
