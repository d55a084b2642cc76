"""Mistakes on the command line, interrupted and repeated runs: what is said, what is started, what is kept."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from contextlib import suppress
from itertools import product
from pathlib import Path

import pytest

import train
import trainers  # noqa: F401  (registers the methods)
from clip.pretrained import embedded
from dassl.data.datasets import DatasetBase, Datum
from dassl.engine import TrainerBase
from dassl.utils import check_availability
from runs import launch, protocol
from runs.record import RunRecord, read_record, set_aside_log
from safeio.lock import sole_use
from trainers.base.run_settings import settings_of_run

B2N = ["base2new", "train", "MMRL", "clothing_64"]
FEW = ["few_shot", "train", "MMRL", "clothing_64"]


class Process:
    """Stands in for train.py: ends with `status`, after a Ctrl-C if asked for."""

    started = 0

    def __init__(self, status: int, interrupted: bool = False):
        self.status, self.interrupted = status, interrupted

    def __call__(self, command):
        type(self).started += 1
        return self

    def wait(self) -> int:
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        return self.status


@pytest.fixture
def started(monkeypatch) -> list:
    """(run, further arguments) of every run that the launcher would start; none of them does anything."""
    found = []

    def execute(runs, output, root, extra, reusing):
        found.extend((run, extra) for run in runs)
        return []

    monkeypatch.setattr(launch, "execute", execute)
    monkeypatch.setattr(launch, "summarise", lambda group: None)
    for variable in ("CFG", "OUTPUT", "DATA"):
        monkeypatch.delenv(variable, raising=False)
    return found


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([*B2N, "one"], ["'one'", "the seed", "whole number"]),
        ([*B2N, "-1"], ["'-1'", "the seed"]),
        ([*B2N, "1.5", "OPTIM.MAX_EPOCH", "1"], ["'1.5'", "the seed"]),
        ([*B2N, "1", "--seed", "2"], ["--seed", "after the dataset"]),
        ([*B2N, "1", "--output-dir=here"], ["--output-dir", "--output"]),
        ([*B2N, "1", "--cfg", "phota"], ["'phota'", "Did you mean photo?"]),
        ([*FEW, "1", "--shots", "four"], ["'four'", "--shots"]),
        ([*FEW, "1", "DATASET.NUM_SHOTS", "4"], ["DATASET.NUM_SHOTS", "--shots"]),
        ([*FEW, "1", "--shots", "4", "DATASET.NUM_SHOTS=4"], ["DATASET.NUM_SHOTS", "--shots"]),
        ([*FEW, "1", "--shots", "-3"], ["-3"]),
        ([*FEW, "1", "--shots", "0"], ["0 images of each class", "--shots 1"]),
        (["base2now", *B2N[1:]], ["'base2now'", "Did you mean base2new?"]),
        (["base2new", "tets", *B2N[2:]], ["'tets'", "Did you mean test?"]),
        (["base2new", "train", "MMLR", "clothing_64"], ["'MMLR'", "Did you mean MMRL?"]),
        (
            ["base2new", "train", "MMRL", "clothing_65"],
            ["'clothing_65'", "Did you mean clothing_64?"],
        ),
    ],
)
def test_the_launcher_starts_nothing_and_says_why(words, parts, started, capsys):
    try:
        status = launch.main(words)
    except SystemExit as end:  # argparse
        status = end.code
    said = capsys.readouterr().err
    assert status == 2 and not started
    assert all(part in said for part in parts), said


@pytest.mark.parametrize(
    ("words", "seeds", "shots", "extra"),
    [
        ([], {1, 2, 3}, {1, 2, 4, 8, 16}, []),
        (["5"], {5}, {1, 2, 4, 8, 16}, []),
        (["1", "2", "--shots", "4", "8", "--train-epoch", "1"], {1, 2}, {4, 8}, ["--train-epoch", "1"]),
        (["1", "--shots", "1", "OPTIM.MAX_EPOCH", "3"], {1}, {1}, ["OPTIM.MAX_EPOCH", "3"]),
        (["1", "TASK", "FS", "--shots", "1", "OPTIM.LR", "3"], {1}, {1}, ["TASK", "FS", "OPTIM.LR", "3"]),
    ],
)
def test_seeds_shots_and_what_goes_to_train(words, seeds, shots, extra, started):
    assert launch.main([*FEW, *words]) == 0
    assert {run.seed for run, _ in started} == seeds
    assert {run.options["DATASET.NUM_SHOTS"] for run, _ in started} == shots
    assert len(started) == len(seeds) * len(shots)
    assert all(given == extra for _, given in started)


@pytest.mark.parametrize(
    ("process", "status"),
    [(Process(2), 2), (Process(130), 130), (Process(-2), 130), (Process(-9), 137), (Process(130, True), 130)],
    ids=["wrong arguments", "interrupted", "SIGINT", "killed", "Ctrl-C in both"],
)
def test_what_concerns_every_run_stops_the_rest(process, status, monkeypatch, tmp_path, capsys):
    """No further seed is started, and an earlier attempt's failure is not taken for this one's."""
    for run in protocol.plan(*B2N):
        RunRecord(tmp_path / run.folder, {}).failed(ValueError("of yesterday"))
    monkeypatch.setattr(launch.subprocess, "Popen", process)
    Process.started = 0
    with pytest.raises(SystemExit) as end:
        launch.main([*B2N, "--output", str(tmp_path)])
    assert end.value.code == status and Process.started == 1
    assert "of yesterday" not in capsys.readouterr().err


def test_an_interrupted_run_is_on_record(monkeypatch, tmp_path, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "run", interrupted)
    assert train.main(["--trainer", "MMRL", "DATASET.NAME", "Clothing", "--output-dir", str(tmp_path)]) == 130
    record = read_record(tmp_path)
    assert (record["status"], record["failure"].split(":")[0]) == ("interrupted", "KeyboardInterrupt")
    assert "same command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--trainer", "MMLR"], ["'MMLR'", "'MMRL'"]),
        ([], ["No method is named", "--trainer"]),
        (["--trainer", "mmrl++"], ["No dataset is named"]),
        (["--config-file", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--trainer", "MMRL", "DATASET.NAME", "Clothing", "--output-dir", f"{__file__}/run"], [Path(__file__).name]),
        (["TASK", "B2M"], ["TASK", "'B2M'", "B2N"]),
        (["OPTIM.MAX_EPOCHS", "1"], ["'OPTIM.MAX_EPOCHS'", "'OPTIM.MAX_EPOCH'"]),
    ],
)
def test_train_says_what_is_wrong_with_its_arguments(words, parts, tmp_path, capsys):
    assert train.main(["--output-dir", str(tmp_path / "run"), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and all(part in said for part in parts), said
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_left_alone(tmp_path, capsys):
    with sole_use(tmp_path):
        there = sorted(tmp_path.iterdir())
        words = ["--trainer", "MMRL", "DATASET.NAME", "Clothing", "--output-dir", str(tmp_path)]
        assert train.main(words) == train.IN_USE
        assert sorted(tmp_path.iterdir()) == there
    said = capsys.readouterr().err
    assert said.startswith("error: ") and f"process {os.getpid()} on" in said and "--output-dir" in said


def test_testing_without_a_checkpoint_says_what_was_looked_for(tmp_path, capsys):
    files = [str(protocol.CONFIGS / file) for file in ("datasets/clothing_64.yaml", "trainers/CoOp/photo.yaml")]
    words = ["--trainer", "CoOp", "--root", "none", "--dataset-config-file", files[0], "--config-file", files[1]]
    words += ["--output-dir", str(tmp_path / "run"), "--eval-only", "--model-dir", str(tmp_path / "never")]
    wanted = rf"model-best.pth.tar or model.pth.tar-<epoch> in {tmp_path}/never/prompt_learner.*was that run trained"
    assert train.main(words) == 1 and re.search(wanted, capsys.readouterr().err)
    assert "looked for" in read_record(tmp_path / "run")["failure"]


def test_the_newest_log_has_the_plain_name(tmp_path):
    set_aside_log(tmp_path)  # nothing there: nothing happens
    (tmp_path / "log.txt").write_text("first attempt")
    set_aside_log(tmp_path)
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("log.txt-20") and kept.read_text() == "first attempt"


def test_messages_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"No trainer is named\. Available: A, B"):
        check_availability("", ["A", "B"], kind="trainer")
    trainer = TrainerBase()
    trainer.register_model("m", model=None)
    with pytest.raises(FileNotFoundError, match="was that run trained"):
        trainer.load_model(tmp_path / "nowhere")
    here = Datum(__file__, 1, 0, "cat")
    with pytest.raises(ValueError, match=r"label 0 \(dog\).*DATASET\.ROOT"):
        DatasetBase(train_x=[here], test=[Datum(__file__, 0, 0, "dog")])


def every_plan():
    """(protocol, run) of all methods and datasets; ablations run what the protocol does that they are made of."""
    names = [name for name in protocol.protocols() if "set" not in protocol.load_protocol(name)]
    for name, method, dataset in product(names, protocol.methods(), protocol.datasets()):
        for stage in protocol.load_protocol(name)["stages"]:
            with suppress(protocol.PlanError):  # not every method has every protocol
                yield from ((name, run) for run in protocol.plan(name, stage, method, dataset))


def test_no_two_runs_share_a_folder():
    """Else the one would be skipped because the other is complete."""
    folders = Counter(folder for folder, _ in {(run.folder, repr(run)) for _, run in every_plan()})
    assert not [folder for folder, count in folders.items() if count > 1]


def test_what_is_tested_is_what_the_protocol_trains():
    trained = {(name, run.folder) for name, run in every_plan() if run.model_folder is None}
    tested = {(name, run.model_folder) for name, run in every_plan() if run.model_folder is not None}
    assert tested and not [folder for _, folder in tested - trained if folder.split("/")[2] in protocol.datasets()]


def test_the_embedded_images_need_no_weights():
    runs = {(run.trainer, run.cfg): run for _, run in every_plan() if run.dataset.startswith("clothing_64")}
    assert runs
    for run in runs.values():
        cfg = settings_of_run(train.parse(run.arguments(Path("unused"), "unused", []))).cfg
        assert cfg.MODEL.BACKBONE.NAME in embedded(), run.folder


def test_a_damaged_record_does_not_count_as_done(tmp_path):
    RunRecord(tmp_path, {}).complete({"accuracy": 1.0})
    assert launch.is_complete(tmp_path)
    for content in ("", "{", "[]", json.dumps({"status": "running"})):
        (tmp_path / "run.json").write_text(content)
        assert not launch.is_complete(tmp_path)
