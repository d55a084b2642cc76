"""The rule that a command can ask for gives the same; the other one is the paper's formula on the features."""

from __future__ import annotations

import numpy as np
import pytest
import torchvision.transforms as T
from short_runs import Runs

import train
from datasets.base.looks import Pencil
from inference.images import batches
from inference.labelled_images import test_images as images_of
from inference.predictor import Predictor
from reports.records import find_runs
from runs.record import read_record
from safeio.errors import UserError
from tools import prediction_rules, results_page


@pytest.fixture(scope="module", params=["MMRL", "MMRLpp"])
def trained(request, tmp_path_factory):
    """Runs, the method, and a folder with the tests of one model on base and on new classes."""
    runs = Runs(tmp_path_factory.mktemp(request.param))
    output, method = runs.folder / "output", request.param
    assert train.main(runs.arguments(method, "base", output / "base")) == 0
    tested = ["--eval-only", "--model-dir", output / "base"]
    assert train.main(runs.arguments(method, "new", output / "new", *tested)) == 0
    return runs, method, output


def found_of(output, part):
    (run,) = (run for run in find_runs(output) if run.part == part)
    return prediction_rules.by_other_rule(run, output)


def recorded(folder):
    return read_record(folder)["metrics"]["accuracy"]


def test_base_classes_by_the_class_token_alone_are_what_train_py_tests(trained, tmp_path):
    runs, method, output = trained
    words = ["--eval-only", "--model-dir", output / "base", "TEST.CLASSES", "unseen"]
    assert train.main(runs.arguments(method, "base", tmp_path, *words)) == 0
    assert found_of(output, "base") == pytest.approx(recorded(tmp_path))


def test_new_classes_by_the_fused_rule_are_the_papers_formula(trained):
    _, method, output = trained
    model = Predictor.load(output / "base", device="cpu")
    images = [(file, name) for file, name in images_of(model.run) if name not in model.classes]
    model.classes = tuple(dict.fromkeys(name for _, name in images))
    ((_, pixels, _),) = batches([file for file, _ in images], model.transform, len(images))
    class_token, tokens = list(model.feature_sets(pixels).values())[1:]
    w, alpha = model.class_features.float(), model.run.cfg.TRAINER[method].ALPHA
    w = (w / w.norm(dim=-1, keepdim=True)).numpy()
    right = (alpha * class_token + (1 - alpha) * tokens) @ w.T
    named = [model.classes[i] == name for i, (_, name) in zip(right.argmax(axis=1), images, strict=True)]
    assert found_of(output, "new") == pytest.approx(100 * np.mean(named))


def test_a_model_that_does_not_repeat_its_record_is_refused(trained):
    *_, output = trained
    (run,) = (run for run in find_runs(output) if run.part == "base")
    run.record["metrics"]["accuracy"] += 50.0
    with pytest.raises(UserError, match="in its record, now"):
        prediction_rules.by_other_rule(run, output)


def test_targets_are_tested_as_their_dataset_changes_them(trained, monkeypatch):
    *_, output = trained
    (run,) = (run for run in find_runs(output) if run.part == "new")
    _, images = prediction_rules.model_of(run, output)
    pencil = Pencil()
    monkeypatch.setattr("datasets.folder.Folder.test_change", pencil)
    model, of_changed = prediction_rules.model_of(run, output)
    assert of_changed == images
    assert isinstance(model.transform, T.Compose) and model.transform.transforms[0] is pencil
    with pytest.raises(UserError, match="changes its images"):
        images_of(model.run)


def test_the_rows_belong_to_no_table_but_their_own(trained, monkeypatch, tmp_path):
    *_, output = trained
    monkeypatch.setattr(prediction_rules, "DATA", tmp_path / "rows.csv")
    assert prediction_rules.main([str(output)]) == 0
    others = results_page.read(tmp_path / "rows.csv")
    assert {row["part"]: float(row["accuracy"]) for row in others.values()} == {
        part: pytest.approx(found_of(output, part), abs=0.01) for part in ("base", "new")
    }
    rows = others | results_page.taken(output)
    _, _, base, new = results_page.prediction_rules(rows)
    for line, fused, alone in (
        (base, recorded(output / "base"), found_of(output, "base")),
        (new, found_of(output, "new"), recorded(output / "new")),
    ):
        numbers = [float(text.strip(" |")) for text in line.split(" | ")[2:]]
        assert numbers == pytest.approx([fused, alone, fused - alone], abs=0.1)
    assert [*results_page.base2new(rows)][2:] == [*results_page.base2new(results_page.taken(output))][2:]


def test_a_folder_without_such_runs_is_named(trained, capsys, tmp_path):
    runs, *_ = trained
    for folder, said in ((tmp_path, "No run.json"), (runs("CoOp", "base"), "No complete test of MMRL")):
        assert prediction_rules.main([str(folder)]) == 2
        assert said in (err := capsys.readouterr().err) and str(folder) in err
