"""Evaluators: from predictions to the result block in the log."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from yacs.config import CfgNode

from dassl.evaluation.build import EVALUATOR_REGISTRY
from dassl.evaluation.calibration import Calibration
from dassl.metrics.confusion import confusion_matrix, macro_f1
from safeio.atomic import atomic_write, atomic_write_text
from safeio.errors import NoNumber

CONFUSION = "confusion.json"


class EvaluatorBase:
    """Collects predictions batch by batch.

    Attributes:
        last_results: what :meth:`evaluate` returned last; None before.
        temperature: that logits are divided by for a second calibration; None for none. Takes effect by :meth:`reset`.
    """

    def __init__(self, cfg: CfgNode):
        self.cfg = cfg
        self.temperature: float | None = None
        self.last_results: OrderedDict[str, float] | None = None

    def reset(self) -> None:
        """Forget what was collected."""
        raise NotImplementedError

    def process(self, mo: Tensor, gt: Tensor) -> None:
        """Take in a batch: model output and ground truth."""
        raise NotImplementedError

    def evaluate(self) -> OrderedDict[str, float]:
        """Results by name, the most important first."""
        raise NotImplementedError

    def calibration(self) -> dict[str, Any] | None:
        """Return how far the probabilities can be trusted; None of an evaluator that does not measure it."""
        return None

    def save_confusion(self, folder: str | os.PathLike) -> None:
        """Keep for the report which classes were taken for which. An evaluator without classes does nothing."""


@EVALUATOR_REGISTRY.register()
class Classification(EvaluatorBase):
    """Accuracy, error and macro F1, in percent.

    Args:
        lab2cname: label -> class name, for ``cfg.TEST.PER_CLASS_RESULT``.
    """

    def __init__(self, cfg: CfgNode, lab2cname: Mapping[int, str] | None = None, **kwargs: Any):
        super().__init__(cfg)
        self._lab2cname = lab2cname or {}
        self.reset()

    def reset(self) -> None:
        self._y_true: list[int] = []
        self._y_pred: list[int] = []
        self._without_numbers = 0
        self._calibration, self._scaled = Calibration(), Calibration()
        self._divisor = self.temperature

    def process(self, mo: Tensor, gt: Tensor) -> None:
        """Take in scores (B, C) and labels (B,)."""
        self._y_pred += mo.argmax(dim=1).tolist()
        self._without_numbers += int(mo.isnan().any(dim=1).sum())
        self._y_true += gt.tolist()
        self._calibration.process(mo, gt)
        if self._divisor:
            self._scaled.process(mo.float() / self._divisor, gt)

    def evaluate(self) -> OrderedDict[str, float]:
        """Print the result block and return ``accuracy``, ``error_rate``, ``macro_f1`` (labels that occur).

        PER_CLASS_RESULT adds a line per class and ``perclass_accuracy``; COMPUTE_CMAT saves the confusion
        matrix.

        Raises:
            ValueError: nothing was processed.
            NoNumber: no image has a score that is a number.
        """
        if not self._y_true:
            raise ValueError("Nothing to evaluate: no batch was processed since the last reset")
        if self._without_numbers == len(self._y_true):
            raise NoNumber(
                f"The scores of all {len(self._y_true):,} images are NaN: the training went wrong. Train anew, with a "
                f"lower OPTIM.LR or another precision (PREC) for example."
            )
        if self._without_numbers:
            without = f"{self._without_numbers:,} of {len(self._y_true):,} images"
            print(f"WARNING: scores of {without} are NaN, so the result says nothing of them", file=sys.stderr)
        true, predicted = np.array(self._y_true), np.array(self._y_pred)
        total, correct = len(true), int((true == predicted).sum())
        accuracy = 100.0 * correct / total
        f1 = 100.0 * macro_f1(true, predicted)
        results = OrderedDict(accuracy=accuracy, error_rate=100.0 - accuracy, macro_f1=f1)
        print(
            "=> result\n"
            f"* total: {total:,}\n"
            f"* correct: {correct:,}\n"
            f"* accuracy: {accuracy:.1f}%\n"
            f"* error: {100.0 - accuracy:.1f}%\n"
            f"* macro_f1: {f1:.1f}%"
        )
        if self.cfg.TEST.PER_CLASS_RESULT:
            results["perclass_accuracy"] = self._print_classes(true, predicted)
        if self.cfg.TEST.COMPUTE_CMAT:
            self._save_confusion_matrix(true, predicted)
        self.last_results = results
        return results

    def calibration(self) -> dict[str, Any] | None:
        """Return expected calibration error, likelihood, Brier score and accuracy over coverage (`Calibration`).

        With a temperature there are ``temperature`` and ``scaled`` besides: the same of the logits divided by it.
        """
        found, scaled = self._calibration.result(), self._scaled.result()
        return found and (found | {"temperature": self._divisor, "scaled": scaled} if scaled else found)

    def save_confusion(self, folder: str | os.PathLike) -> None:
        """``confusion.json``: class names by label, and ``[true, predicted, count]`` for every pair that occurs."""
        labels = {*self._lab2cname, *self._y_true, *self._y_pred}
        names = [self._lab2cname.get(label, str(label)) for label in range(max(labels, default=-1) + 1)]
        pairs = sorted(Counter(zip(self._y_true, self._y_pred, strict=True)).items())
        content = {"classes": names, "counts": [[*pair, count] for pair, count in pairs]}
        atomic_write_text(os.path.join(folder, CONFUSION), json.dumps(content, ensure_ascii=False) + "\n")

    def _print_classes(self, true: np.ndarray, predicted: np.ndarray) -> float:
        """A line per class; returns the mean over classes of their accuracies."""
        accuracies = []
        print("=> per-class result")
        for label in np.unique(true).tolist():
            hits = predicted[true == label] == label
            accuracies.append(100.0 * float(hits.mean()))
            print(
                f"* class: {label} ({self._lab2cname.get(label, '?')})\t"
                f"total: {len(hits):,}\tcorrect: {int(hits.sum()):,}\tacc: {accuracies[-1]:.1f}%"
            )
        mean = float(np.mean(accuracies))
        print(f"* average: {mean:.1f}%")
        return mean

    def _save_confusion_matrix(self, true: np.ndarray, predicted: np.ndarray) -> None:
        """Rows: true labels, columns: predictions, both as they occur, ascending; a row of images sums to 1."""
        path = os.path.join(self.cfg.OUTPUT_DIR, "cmat.pt")
        _, counts = confusion_matrix(true, predicted)
        with atomic_write(path) as file:
            torch.save(torch.from_numpy(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)), file)
        print(f"Confusion matrix saved to {path}")
