"""Prediction and export show what a run noticed in training: a damaged best model, parameters that grew too large."""

from __future__ import annotations

import json
import shutil

import pytest

import predict
from dassl.utils.checkpoint import load_checkpoint, save_plain
from inference.commands import export, visualize
from inference.predictor import Predictor

RECORDED = "prompt_learner/model-best.pth.tar is damaged"
SAVED = "the parameters have grown to 1e+06"
BOTH = "LR | is high"


@pytest.fixture
def noticed(runs, tmp_path):
    """A run whose record has two notices and whose checkpoint, written later, has one of them and another."""
    folder = shutil.copytree(runs("CoOp"), tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "notices": [RECORDED, BOTH]}))
    (checkpoint,) = (folder / "prompt_learner").glob("model.pth.tar-*")
    save_plain({**load_checkpoint(checkpoint), "notices": [BOTH, SAVED]}, checkpoint)
    return folder


def told(printed: str) -> list[str]:
    return [line.split(": ", 1)[1] for line in printed.splitlines() if line.startswith("The run noticed: ")]


def test_commands_say_each_notice_once(noticed, runs, capsys):
    image = str(runs.files()[0])
    for command, words in (
        (predict, [image, "--device", "cpu"]),
        (export, ["--format", "safetensors"]),
        (export, ["--format", "torchscript"]),
        (visualize, [image, "--device", "cpu"]),
    ):
        assert command.main([str(noticed), *words]) == 0
        assert told(capsys.readouterr().err) == [RECORDED, BOTH, SAVED]
    assert predict.main([str(noticed), image, "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notices"] == [RECORDED, BOTH, SAVED]


def test_a_copy_keeps_them(noticed, runs):
    """A saved model, a folder for a hub, and the cards of both exports."""
    saved = Predictor.load(noticed, device="cpu").save(noticed / "saved")
    assert export.main([str(noticed), "--format", "hub-folder", "--output", str(noticed / "hub")]) == 0
    for folder in (saved, noticed / "hub"):
        assert Predictor.load(folder, device="cpu", backbone=str(runs.folder / "clip.pt")).run.notices == (
            RECORDED,
            BOTH,
            SAVED,
        )
    assert r"LR \| is high" in (noticed / "hub" / "README.md").read_text()


def test_no_notices_no_words(runs, tmp_path, capsys):
    assert export.main([str(runs("CoOp")), "--format", "safetensors", "--output", str(tmp_path / "a.safetensors")]) == 0
    assert told(capsys.readouterr().err) == [] and "Notices" not in (tmp_path / "a.md").read_text()
