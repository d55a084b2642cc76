"""Measurements of a run, and the two files it keeps for the report."""

import json

import pytest
import torch
from sklearn.metrics import confusion_matrix

from dassl.config import get_cfg_default
from dassl.engine import build_trainer
from dassl.engine.measurements import CURVE, Measures, add_to_curve
from dassl.evaluation import build_evaluator
from dassl.evaluation.evaluator import CONFUSION


def test_seconds_add_up_over_epochs_and_the_last_evaluation_counts():
    measures = Measures(torch.device("cpu"))
    for images, seconds in ((100, 2.0), (100, 3.0)):
        measures.add("train", images, seconds)
    for images, seconds in ((10, 1.0), (50, 2.0)):
        measures.add("test", images, seconds)
    found = measures.as_dict()
    assert (found["train_seconds"], found["train_images_per_second"], found["train_epochs"]) == (5.0, 40.0, 2)
    assert (found["test_seconds"], found["test_images_per_second"]) == (2.0, 25.0)
    assert found["device"] == "cpu" and 20 < found["peak_memory_mib"] < 1e6  # a process with torch in it
    assert not any("train" in name for name in Measures(torch.device("cpu")).as_dict())


def test_a_training_leaves_its_numbers_and_curve(tiny_cfg, tmp_path):
    tiny_cfg.OUTPUT_DIR, tiny_cfg.OPTIM.MAX_EPOCH = str(tmp_path / "run"), 3
    trainer = build_trainer(tiny_cfg)
    trainer.train()
    found = trainer.measures.as_dict()
    assert found["train_epochs"] == 3 and found["train_images_per_second"] > 0 < found["test_images_per_second"]
    curve = json.loads((tmp_path / "run" / CURVE).read_text())
    assert [row["epoch"] for row in curve] == [1, 2, 3]
    assert all(row["loss"] > 0 and row["lr"] > 0 for row in curve)
    confusion = json.loads((tmp_path / "run" / CONFUSION).read_text())
    total = sum(count for *_, count in confusion["counts"])
    correct = sum(count for true, predicted, count in confusion["counts"] if true == predicted)
    assert 100 * correct / total == pytest.approx(trainer.evaluator.last_results["accuracy"])
    assert confusion["classes"] == [name for _, name in sorted(trainer.lab2cname.items())]


def test_an_attempt_that_goes_on_keeps_what_was_before_it_and_no_more(tmp_path):
    for epoch in (1, 2, 3):
        add_to_curve(tmp_path, epoch, {"loss": float(epoch)})
    add_to_curve(tmp_path, 2, {"loss": 20.0})
    assert json.loads((tmp_path / CURVE).read_text()) == [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 20.0}]


@pytest.mark.parametrize("before", ["", "{", '{"epoch": 1}', '[{"loss": 1}]'])
def test_a_damaged_curve_is_begun_anew(tmp_path, before):
    (tmp_path / CURVE).write_text(before)
    add_to_curve(tmp_path, 2, {"loss": float("nan"), "acc": 50.0})
    assert json.loads((tmp_path / CURVE).read_text()) == [{"epoch": 2, "loss": None, "acc": 50.0}]


def test_confusion_equals_sklearn_s(tmp_path):
    torch.manual_seed(0)
    scores, labels = torch.randn(60, 5), torch.randint(4, (60,))  # a class that does not occur is predicted
    evaluator = build_evaluator(get_cfg_default(), lab2cname=dict(enumerate("abcd<")))
    evaluator.process(scores, labels)
    evaluator.save_confusion(tmp_path)
    found = json.loads((tmp_path / CONFUSION).read_text())
    matrix = torch.zeros(5, 5, dtype=torch.int64)
    for true, predicted, count in found["counts"]:
        matrix[true, predicted] = count
    assert matrix.tolist() == confusion_matrix(labels, scores.argmax(1), labels=range(5)).tolist()
    assert found["classes"] == ["a", "b", "c", "d", "<"]
