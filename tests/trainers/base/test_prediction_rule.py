"""Without a protocol the prediction rule follows from whether the tested classes are those trained on."""

from __future__ import annotations

import pytest

import train
from runs.record import read_record
from trainers.base.run_settings import settings_of_run, without_effect

SMALL = ["DATALOADER.NUM_WORKERS", "0", "OPTIM.MAX_EPOCH", "1", "DATASET.NUM_SHOTS", "1"]


def words(folder, *more, method="MMRL"):
    files = [
        "--dataset-config-file",
        "configs/datasets/clothing_64.yaml",
        "--config-file",
        f"configs/trainers/{method}/photo.yaml",
    ]
    return ["--trainer", method, "--root", "none", "--seed", "1", "--output-dir", str(folder), *files, *SMALL, *more]


def predicted(folder):
    record = read_record(folder)
    return record["test_classes"], record["test_classes_reason"]


def test_a_protocol_or_a_task_decides_where_there_is_one():
    def of(*more):
        return settings_of_run(train.parse(words("x", *more))).cfg.TEST.CLASSES

    assert of() == "seen"
    assert of("TASK", "B2N") == "unseen" and of("TASK", "FS") == "seen"
    assert of("PROTOCOL", "base2new", "DATASET.SUBSAMPLE_CLASSES", "base") == "seen"


@pytest.mark.parametrize("classes", ["all", "new"])
def test_a_tested_checkpoint_is_compared_with_the_classes(classes, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    base = ["DATASET.SUBSAMPLE_CLASSES", "base"]
    assert train.main(words(tmp_path / "base", *base)) == 0
    assert predicted(tmp_path / "base")[0] == "seen" and "no protocol" in predicted(tmp_path / "base")[1]
    options = ["--eval-only", "--model-dir", str(tmp_path / "base")]
    assert train.main(words(tmp_path / "again", *options, *base)) == 0
    assert predicted(tmp_path / "again") == ("seen", "no protocol: all of the tested classes are among those that the "
                                        "checkpoint was trained on")  # fmt: skip
    assert train.main(words(tmp_path / "other", *options, "DATASET.SUBSAMPLE_CLASSES", classes)) == 0
    assert predicted(tmp_path / "other")[0] == "unseen"
    assert "Prediction rule: unseen (no protocol: not all" in capsys.readouterr().out
    same = [read_record(tmp_path / name)["metrics"]["accuracy"] for name in ("base", "again")]
    assert same[0] == same[1]


def test_the_linear_probe_tests_its_own_classes_without_a_protocol():
    assert settings_of_run(train.parse(words("x", method="LinearProbe"))).cfg.TEST.CLASSES == "seen"


def test_settings_without_effect_are_said():
    given = ["TRAINER.COOP.CTX_INIT", "a photo of a", "TRAINER.COOP.N_CTX", "8"]
    builder = settings_of_run(train.parse(words("x", *given, method="CoOp")))
    assert [note.split()[0] for note in without_effect(builder, {})] == ["TRAINER.COOP.N_CTX"]
    asked = builder.cfg.TRAINER.COOP.N_CTX
    assert not without_effect(builder, {"TRAINER.COOP.N_CTX": asked}), "a published script says so, not the user"
    assert without_effect(builder, {"TRAINER.COOP.N_CTX": asked + 1})
    given[1] = ""
    assert not without_effect(settings_of_run(train.parse(words("x", *given, method="CoOp"))), {})


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("CLIPLoRA", ["OPTIM.MAX_EPOCH", "7", "DATASET.NUM_SHOTS", "4"], ["OPTIM.MAX_EPOCH"]),
        ("TwoStage", ["OPTIM.MAX_EPOCH", "7", "DATASET.NUM_SHOTS", "4"], ["OPTIM.MAX_EPOCH"]),
        ("TwoStage", ["TRAINER.TWOSTAGE.N_ITERS", "7", "DATASET.NUM_SHOTS", "-1"], ["TRAINER.TWOSTAGE.N_ITERS"]),
        ("CLIPLoRA", ["OPTIM.MAX_EPOCH", "7", "DATASET.NUM_SHOTS", "-1"], []),
        ("GDACLIP", ["OPTIM.MAX_EPOCH", "7", "OPTIM.LR", "0.1"], ["OPTIM.LR", "OPTIM.MAX_EPOCH"]),
        ("TipAdapter", ["OPTIM.MAX_EPOCH", "7"], ["OPTIM.MAX_EPOCH"]),
        ("TipAdapterF", ["OPTIM.MAX_EPOCH", "7"], []),
        ("MMRL", ["OPTIM.MAX_EPOCH", "7", "OPTIM.LR", "0.1"], []),
    ],
)
def test_settings_of_the_optimiser_without_effect_are_said(method, given, said):
    builder = settings_of_run(train.parse(words("x", *given, method=method)))
    assert [note.split()[0] for note in without_effect(builder, {})] == said


def test_a_run_without_a_protocol_predicts_its_own_classes_by_their_rule(tmp_path, capsys, monkeypatch):
    """The classes trained on and tested are the same: by the rule of unseen classes other numbers come out."""
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    assert train.main(words(tmp_path / "plain", "OPTIM.LR", "0.02")) == 0
    said = capsys.readouterr().out
    near = said[said.index("=> result") :]
    assert "Prediction rule: seen (no protocol: a run that trains is tested on the classes it trained on)" in near
    assert near.splitlines()[-1] in (tmp_path / "plain" / "log.txt").read_text()
    options = ["--eval-only", "--model-dir", str(tmp_path / "plain"), "OPTIM.LR", "0.02", "TEST.CLASSES"]
    for rule in ("seen", "unseen"):
        assert train.main(words(tmp_path / rule, *options, rule)) == 0
        assert predicted(tmp_path / rule) == (rule, "command line")
    metrics = {name: read_record(tmp_path / name)["metrics"] for name in ("plain", "seen", "unseen")}
    assert metrics["plain"] == metrics["seen"] != metrics["unseen"]
    images = read_record(tmp_path / "plain")["images"]
    assert images == read_record(tmp_path / "seen")["images"] and images["train"]["count"] == 10


def test_the_linear_probe_is_trained_and_tested_on_its_own_classes(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    assert train.main(words(tmp_path / "run", method="LinearProbe")) == 0
    assert predicted(tmp_path / "run")[0] == "seen" and read_record(tmp_path / "run")["metrics"]["accuracy"] > 0
    assert "Prediction rule: seen (no protocol" in capsys.readouterr().out


def test_settings_that_do_not_count_are_said_in_the_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    given = ["TRAINER.COOP.CTX_INIT", "a photo of a", "TRAINER.COOP.N_CTX", "8", "TRAINER.COOP.CSC", "True"]
    of_a_run = [*given, "TEST.NO_TEST", "True", "OPTIM.MAX_EPOCH"]
    assert train.main(words(tmp_path / "run", *of_a_run, "2", method="CoOp")) == 0
    log = (tmp_path / "run" / "log.txt").read_text()
    for key in ("N_CTX", "CSC"):
        assert f"Warning: TRAINER.COOP.{key} changes nothing in CoOp: the words of CTX_INIT" in log
    assert train.main(words(tmp_path / "run", *of_a_run, "1", method="CoOp")) == 1
    assert "OPTIM.MAX_EPOCH is 1, but the run in" in (error := capsys.readouterr().err) and "2 epochs" in error


def test_the_record_has_what_bears_on_the_result(tmp_path, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    monkeypatch.setattr("dassl.engine.simple.GROWN", 0.0)
    assert train.main(words(tmp_path / "run", method="LinearProbe")) == 0
    (notice,) = read_record(tmp_path / "run")["notices"]
    assert "Learned parameters have grown" in notice


def test_another_number_of_loader_processes_is_refused_where_training_continues(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    two = ["DATALOADER.NUM_WORKERS", "2", "OPTIM.MAX_EPOCH"]
    assert train.main(words(tmp_path / "run", "OPTIM.MAX_EPOCH", "2", method="CoOp")) == 0
    first = read_record(tmp_path / "run")
    capsys.readouterr()
    assert train.main(words(tmp_path / "run", *two, "2", method="CoOp")) == 0  # only tests
    assert read_record(tmp_path / "run")["parameters_sha256"] == first["parameters_sha256"]
    assert "began with" not in "".join(capsys.readouterr())
    assert train.main(words(tmp_path / "run", *two, "3", method="CoOp")) == 1
    assert "began with DATALOADER.NUM_WORKERS 0, here it is 2" in capsys.readouterr().err
