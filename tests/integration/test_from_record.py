"""A run repeated from its record ends with the same parameters, bit for bit, however many processes load the data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from short_runs import clothes

import train


def arguments(output: Path, *options: object) -> list[str]:
    """A short training of CoOp on the embedded images."""
    return clothes(output, "DATASET.NUM_SHOTS", 2, "OPTIM.MAX_EPOCH", 2, *options, seeds=("--seed", 3))


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert train.main(arguments(folder, "DATALOADER.NUM_WORKERS", 2)) == 0
    return folder


def test_from_the_record_alone(first, capsys):
    torch.set_num_threads(torch.get_num_threads() + 1)  # it computes with as many as then
    assert train.main(["--from-record", str(first / "run.json")]) == 0
    again = record(first.with_name("first-again"))
    assert again["parameters_sha256"] == record(first)["parameters_sha256"]
    assert again["metrics"] == record(first)["metrics"]
    changed = {"OUTPUT_DIR"}
    assert {k for k, v in again["config"].items() if v != record(first)["config"][k]} == changed
    assert "not that of the run repeated" not in capsys.readouterr().out


def test_what_differs_is_said(first, tmp_path, capsys):
    there = record(first)
    there["versions"]["torch"] = "1.0"
    (tmp_path / "run.json").write_text(json.dumps(there), encoding="utf-8")
    assert train.main(["--from-record", str(tmp_path), "--output-dir", str(tmp_path / "new"), "--seed", "4"]) == 0
    said = capsys.readouterr().out
    assert f"versions.torch: 1.0 there, {torch.__version__} here" in said
    assert "not that of the run repeated: " in said and "parameters_sha256: " in said
    assert record(tmp_path / "new")["seed"] == 4


def test_testing_again(first, tmp_path):
    test = ["--eval-only", "--model-dir", first, "DATASET.SUBSAMPLE_CLASSES", "new"]
    assert train.main([*arguments(tmp_path / "new"), *map(str, test)]) == 0
    assert train.main(["--from-record", str(tmp_path / "new")]) == 0
    once, again = record(tmp_path / "new"), record(tmp_path / "new-again")
    assert once["flags"]["eval_only"] and once["test_classes"] == again["test_classes"] == "unseen"
    assert once["metrics"] == again["metrics"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no record"), ("{", "not valid JSON"), ("[]", "should be an object"), ("{}", "no config and")],
)
def test_no_record_to_repeat(tmp_path, content, words, capsys):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(SystemExit) as end:
        train.main(["--from-record", str(tmp_path / "run.json")])
    said = capsys.readouterr().err
    assert end.value.code == 2 and words in said and "run.json" in said


def test_deterministic_is_a_setting(tmp_path, monkeypatch):
    def no_further(cfg):
        raise InterruptedError

    monkeypatch.setattr(train, "build_trainer", no_further)
    try:
        with pytest.raises(InterruptedError):
            train.main([*arguments(tmp_path / "run"), "--deterministic"])
        assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
        assert record(tmp_path / "run")["config"]["DETERMINISTIC"] is True
        with pytest.raises(InterruptedError):
            train.main(arguments(tmp_path / "run"))
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
