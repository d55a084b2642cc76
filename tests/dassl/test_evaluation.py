"""Evaluator and metrics against scikit-learn and scipy-like definitions."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, top_k_accuracy_score

from dassl.config import get_cfg_default
from dassl.evaluation import build_evaluator
from dassl.metrics import compute_accuracy, compute_distance_matrix, cosine_distance


@pytest.fixture
def predictions():
    """Scores (40, 6) and labels (40,), of which 4 does not occur though it is predicted."""
    torch.manual_seed(0)
    scores = torch.randn(40, 6)
    labels = torch.tensor([0, 1, 2, 3, 5])[torch.randint(5, (40,))]
    scores[torch.arange(40), labels] += 1.5
    return scores, labels


@pytest.fixture
def cfg(tmp_path):
    cfg = get_cfg_default()
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    return cfg


def evaluate(cfg, scores, labels):
    evaluator = build_evaluator(cfg, lab2cname={i: f"class{i}" for i in range(6)})
    assert evaluator.last_results is None
    for part in range(0, len(labels), 7):
        evaluator.process(scores[part : part + 7], labels[part : part + 7])
    return evaluator, evaluator.evaluate()


def test_results_equal_sklearn_s(cfg, predictions, capsys):
    scores, labels = predictions
    predicted = scores.argmax(1)
    evaluator, results = evaluate(cfg, scores, labels)
    report = classification_report(labels, predicted, labels=labels.unique(), output_dict=True, zero_division=0)
    accuracy = 100 * accuracy_score(labels, predicted)
    assert list(results) == ["accuracy", "error_rate", "macro_f1"]
    assert results["accuracy"] == pytest.approx(accuracy)
    assert results["error_rate"] == pytest.approx(100 - accuracy)
    assert results["macro_f1"] == pytest.approx(100 * report["macro avg"]["f1-score"])
    assert evaluator.last_results is results
    correct = int((predicted == labels).sum())
    assert capsys.readouterr().out.splitlines() == [
        "Loading evaluator: Classification",
        "=> result",
        "* total: 40",
        f"* correct: {correct}",
        f"* accuracy: {accuracy:.1f}%",
        f"* error: {100 - accuracy:.1f}%",
        f"* macro_f1: {results['macro_f1']:.1f}%",
    ]


def test_thousands_have_commas(cfg, capsys):
    evaluate(cfg, torch.eye(6).repeat(400, 1), torch.arange(6).repeat(400))
    assert "* total: 2,400\n* correct: 2,400\n* accuracy: 100.0%" in capsys.readouterr().out


def test_per_class_and_confusion_matrix(cfg, predictions, capsys):
    cfg.TEST.PER_CLASS_RESULT = cfg.TEST.COMPUTE_CMAT = True
    scores, labels = predictions
    _, results = evaluate(cfg, scores, labels)
    predicted = scores.argmax(1)
    recalls = [100 * (predicted[labels == y] == y).float().mean().item() for y in labels.unique()]
    assert results["perclass_accuracy"] == pytest.approx(np.mean(recalls))
    lines = capsys.readouterr().out.splitlines()
    classes = [line for line in lines if line.startswith("* class: ")]
    assert len(classes) == 5 and classes[4].startswith("* class: 5 (class5)\ttotal: ")
    assert f"* average: {np.mean(recalls):.1f}%" in lines
    matrix = torch.load(f"{cfg.OUTPUT_DIR}/cmat.pt", weights_only=True)
    np.testing.assert_allclose(matrix, confusion_matrix(labels, predicted, normalize="true"))


def test_reset_forgets(cfg, predictions):
    evaluator, _ = evaluate(cfg, *predictions)
    evaluator.reset()
    with pytest.raises(ValueError, match="Nothing"):
        evaluator.evaluate()


def test_scores_without_numbers_are_said(cfg, predictions, capsys):
    scores, labels = predictions
    evaluate(cfg, scores, labels)
    assert "WARNING" not in capsys.readouterr().err
    scores[3, 2] = scores[30] = float("nan")
    scores[5, 0] = -float("inf")  # a class ruled out
    evaluate(cfg, scores, labels)
    assert "WARNING: scores of 2 of 40 images are NaN" in capsys.readouterr().err


def test_topk_accuracy(predictions):
    scores, labels = predictions
    results = compute_accuracy([scores, None], labels, topk=(1, 3))
    assert [tuple(r.shape) for r in results] == [(1,), (1,)]
    for k, result in zip((1, 3), results, strict=True):
        expected = top_k_accuracy_score(labels, scores, k=k, labels=range(6))
        assert result.item() == pytest.approx(100 * expected, abs=1e-4)


def test_distances():
    torch.manual_seed(0)
    a, b = torch.randn(4, 5), torch.randn(3, 5)
    torch.testing.assert_close(compute_distance_matrix(a, b), torch.cdist(a, b).square())
    cosine = torch.cosine_similarity(a[:, None], b[None], dim=-1)
    torch.testing.assert_close(compute_distance_matrix(a, b, "cosine"), 1 - cosine)
    torch.testing.assert_close(cosine_distance(a, b), 1 - cosine)
    with pytest.raises(ValueError, match=r"\(4, 5\) and \(5,\)"):
        compute_distance_matrix(a, b[0])
    with pytest.raises(ValueError, match="euclidean"):
        compute_distance_matrix(a, b, "euclid")
