"""SIGTERM and Ctrl-C wherever they come: the exit status is the one that shells expect, and the record says so."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from short_runs import clothes

import train
from dassl.data.data_manager import DataManager
from dassl.engine import batch_loop
from dassl.engine.stop import StopRequest
from runs.record import RunRecord, read_record
from trainers.base.trainer import ClipTrainer


def run(folder: Path, *words: str) -> int:
    return train.main(clothes(folder, *words))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    """Record of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert run(folder) == 0
    return read_record(folder)


PLACES = {
    "reading the data": (DataManager, "__init__"),
    "building the model": (ClipTrainer, "build_model"),
    "a step": (ClipTrainer, "losses"),
    "saving a checkpoint": (ClipTrainer, "checkpoint_state"),
    "testing": (ClipTrainer, "scores"),
    "the result": (RunRecord, "complete"),
}


def signalled(monkeypatch, place: tuple[type, str], signum: int) -> None:
    """The signal comes when this is called first."""
    owner, name = place
    plain, sent = getattr(owner, name), []

    def once(*words, **more):
        if not sent:
            sent.append(signum)
            os.kill(os.getpid(), signum)
        return plain(*words, **more)

    monkeypatch.setattr(owner, name, once)


CASES = [*((signal.SIGTERM, place) for place in PLACES), (signal.SIGINT, "saving a checkpoint")]


@pytest.mark.parametrize(("signum", "place"), CASES, ids=[f"{signum.name} in {place}" for signum, place in CASES])
def test_it_ends_in_order_and_goes_on(place, signum, whole, tmp_path, monkeypatch, capsys):
    handler = signal.getsignal(signum)
    with monkeypatch.context() as patch:
        signalled(patch, PLACES[place], signum)
        assert run(tmp_path / "run") == 128 + signum
    assert signal.getsignal(signum) is handler
    assert read_record(tmp_path / "run")["status"] == "interrupted"
    assert "the same command continues the run" in capsys.readouterr().err
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert run(tmp_path / "run") == 0
    assert read_record(tmp_path / "run")["parameters_sha256"] == whole["parameters_sha256"]
    assert read_record(tmp_path / "run")["metrics"] == whole["metrics"]


def test_a_run_that_only_tests(tmp_path, monkeypatch):
    assert run(tmp_path / "trained") == 0
    test = ["--eval-only", "--model-dir", str(tmp_path / "trained")]
    with monkeypatch.context() as patch:
        signalled(patch, PLACES["testing"], signal.SIGTERM)
        assert run(tmp_path / "tested", *test) == 143
    assert read_record(tmp_path / "tested")["status"] == "interrupted"
    assert run(tmp_path / "tested", *test) == 0


def test_runs_of_one_process_share_the_request(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(train, "recorded", lambda *words: heard.append(words[-1]) or 0)
    assert train.main(clothes(tmp_path, seeds=("--seeds", 1, 2))) == 0
    assert len(heard) == 2 and heard[0] is heard[1] and isinstance(heard[0], StopRequest)


FAILURES = {
    "disk": (OSError(errno.ENOSPC, "No space left on device", "run.json"), "No space left on device: 'run.json'"),
    "memory of a GPU": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. GPU 0 has a total capacity of 8 GiB"),
        "CUDA out of memory. A smaller batch needs less: DATALOADER.TRAIN_X.BATCH_SIZE",
    ),
    "no number": (batch_loop.NoNumber("Loss is infinite or NaN! Epoch 1, batch 2."), "Epoch 1, batch 2"),
}


@pytest.mark.parametrize(("error", "words"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("recordable", [True, False])
def test_what_lies_outside_the_code_is_told_without_a_traceback(
    error, words, recordable, tmp_path, monkeypatch, capsys
):
    """On a full disk the record cannot be written either: that must not hide what happened."""

    def full(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail(*arguments):
        if not recordable:
            monkeypatch.setattr(RunRecord, "write", full)
        raise error

    monkeypatch.setattr(train, "build_trainer", fail)
    assert run(tmp_path) == 1
    said = capsys.readouterr().err
    assert "error: " in said and words in said and "Traceback" not in said
    assert ("record could not be written" in said) is not recordable
    assert read_record(tmp_path)["status"] == ("failed" if recordable else "running")


def test_going_on_with_other_versions_is_said(tmp_path, monkeypatch, capsys):
    def fail(*arguments):
        raise batch_loop.NoNumber("no number")

    monkeypatch.setattr(train, "build_trainer", fail)
    assert run(tmp_path) == 1
    assert "other surroundings" not in capsys.readouterr().out
    record = read_record(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(record | {"versions": record["versions"] | {"torch": "1.0"}}))
    assert run(tmp_path) == 1
    assert f"other surroundings: versions.torch: 1.0 there, {torch.__version__} here" in capsys.readouterr().out
