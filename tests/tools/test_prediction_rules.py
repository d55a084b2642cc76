"""The rule that a command can ask for gives the same; the other one is the paper's formula on the features."""

from __future__ import annotations

import numpy as np
import pytest
from short_runs import Runs

import train
from inference.images import batches
from inference.labelled_images import test_images as images_of
from inference.predictor import Predictor
from runs.record import read_record
from safeio.errors import UserError
from tools import prediction_rules, results_page


@pytest.fixture(scope="module", params=["MMRL", "MMRLpp"])
def trained(request, tmp_path_factory):
    runs = Runs(tmp_path_factory.mktemp(request.param))
    return runs, request.param, runs(request.param, "base")


def test_base_classes_by_the_class_token_alone_are_what_train_py_tests(trained, tmp_path):
    runs, method, folder = trained
    words = ["--eval-only", "--model-dir", folder, "TEST.CLASSES", "unseen"]
    assert train.main(runs.arguments(method, "base", tmp_path, *words)) == 0
    found = dict(prediction_rules.with_other_rule(folder, read_record(folder)["metrics"]["accuracy"]))
    assert found["base"] == pytest.approx(read_record(tmp_path)["metrics"]["accuracy"])


def test_new_classes_by_the_fused_rule_are_the_papers_formula(trained):
    _, method, folder = trained
    model = Predictor.load(folder, device="cpu")
    images = [(file, name) for file, name in images_of(model.run) if name not in model.classes]
    model.classes = tuple(dict.fromkeys(name for _, name in images))
    ((_, pixels, _),) = batches([file for file, _ in images], model.transform, len(images))
    class_token, tokens = list(model.feature_sets(pixels).values())[1:]
    w, alpha = model.class_features.float(), model.run.cfg.TRAINER[method].ALPHA
    w = (w / w.norm(dim=-1, keepdim=True)).numpy()
    right = (alpha * class_token + (1 - alpha) * tokens) @ w.T
    named = [model.classes[i] == name for i, (_, name) in zip(right.argmax(axis=1), images, strict=True)]
    recorded = read_record(folder)["metrics"]["accuracy"]
    assert dict(prediction_rules.with_other_rule(folder, recorded))["new"] == pytest.approx(100 * np.mean(named))


def test_a_model_that_does_not_repeat_its_record_is_refused(trained):
    *_, folder = trained
    with pytest.raises(UserError, match="in its record, now"):
        next(prediction_rules.with_other_rule(folder, 50.0 + read_record(folder)["metrics"]["accuracy"]))


def test_the_rows_belong_to_no_table_but_their_own(trained, monkeypatch, tmp_path):
    _, method, folder = trained
    monkeypatch.setattr(prediction_rules, "DATA", tmp_path / "rows.csv")
    assert prediction_rules.main([str(folder)]) == 0
    rows = results_page.read(tmp_path / "rows.csv")
    assert {row["part"] for row in rows.values()} == {"base", "new"} and len(rows) == 2
    rows |= results_page.taken(folder)
    head, _, line = results_page.prediction_rules(rows)
    assert head.count("|") == line.count("|") == 6
    fused, class_token = (float(text) for text in line.split(" | ")[1:3])
    recorded = read_record(folder)["metrics"]["accuracy"]
    of_base = next(float(row["accuracy"]) for row in rows.values() if row["part"] == "base" and row["swept"])
    assert (fused, class_token) == pytest.approx((recorded, of_base), abs=0.05)
    assert [*results_page.base_alone(rows)][2:] == [f"| {results_page.method_name(method)} | {recorded:.1f} |"]


def test_a_folder_without_such_runs_is_named(trained, capsys, tmp_path):
    runs, *_ = trained
    for folder, said in ((tmp_path, "No run.json"), (runs("CoOp", "base"), "No complete base-to-novel training")):
        assert prediction_rules.main([str(folder)]) == 2
        assert said in (err := capsys.readouterr().err) and str(folder) in err
