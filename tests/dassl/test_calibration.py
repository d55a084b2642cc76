"""Calibration metrics against scikit-learn, torchmetrics and cases computed by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from dassl.evaluation.calibration import Calibration, accuracy_over_coverage, expected_calibration_error


def collected(logits, labels, batch):
    found = Calibration()
    for some, own in zip(logits.split(batch), labels.split(batch), strict=True):
        found.process(some, own)
    return found.result()


@pytest.fixture
def scores():
    generator = torch.Generator().manual_seed(1)
    return 4 * torch.randn(501, 7, generator=generator), torch.randint(0, 7, (501,), generator=generator)


def test_likelihood_and_brier_are_scikit_learns(scores):
    logits, labels = scores
    p = logits.double().softmax(1).numpy()
    found = collected(logits, labels, 64)
    assert found["nll"] == pytest.approx(log_loss(labels.numpy(), p, labels=range(7)), rel=1e-5)
    assert found["brier"] == pytest.approx(((p - np.eye(7)[labels.numpy()]) ** 2).sum(1).mean(), rel=1e-5)
    assert found["images"] == 501


def test_calibration_error_is_torchmetrics(scores):
    classification = pytest.importorskip("torchmetrics.functional.classification")
    logits, labels = scores
    theirs = classification.multiclass_calibration_error(logits.softmax(1), labels, 7, n_bins=15, norm="l1")
    assert collected(logits, labels, 64)["ece"] == pytest.approx(100 * theirs.item(), abs=1e-3)


def test_by_hand():
    confidence, correct = np.array([0.9, 0.9, 0.5, 0.5]), np.array([True, False, True, True])
    assert expected_calibration_error(confidence, correct) == pytest.approx((2 * 0.4 + 2 * 0.5) / 4)
    assert expected_calibration_error(np.ones(3), np.ones(3, bool)) == 0
    over = dict(map(tuple, accuracy_over_coverage(confidence, correct)))
    assert over[0.3] == 100.0 and over[0.5] == 50.0 and over[1.0] == 75.0


def test_a_batch_changes_nothing_and_scores_without_numbers_give_no_metric(scores):
    logits, labels = scores
    whole, parts = collected(logits, labels, 501), collected(logits, labels, 10)
    assert whole["ece"] == pytest.approx(parts["ece"]) and whole["coverage"] == parts["coverage"]
    logits[3, 2] = float("nan")
    assert collected(logits, labels, 64) is None and Calibration().result() is None
