"""A training that another protocol has completed is copied, and only if it is the same training."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
from short_runs import Runs

import sweep
import train
from runs import launch, reuse
from runs.protocol import plan
from runs.record import RunRecord
from runs.sweep.plan import place

FEW_SHOT = ["PROTOCOL", "few_shot", "STAGE", "train"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def source(runs) -> Path:
    """Folder of a complete run of cross-dataset evaluation."""
    return runs("CoOp", "all", "TASK", "CD", "PROTOCOL", "cross_dataset", "STAGE", "train", "TEST.CLASSES", "seen")


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def train_again(runs: Runs, source: Path, output: Path, *options: object) -> dict:
    """Train, with `source` to copy; return the record."""
    assert train.main(runs.arguments("CoOp", "all", output, *FEW_SHOT, "--reuse", source, *options)) == 0
    return record(output)


def checkpoints(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.pth.tar*")}


def test_a_copy_is_what_training_again_gives(runs, source, tmp_path, capsys):
    copied = train_again(runs, tmp_path / "nothing", tmp_path / "copy", "--reuse", source)
    said = capsys.readouterr().out
    assert f"Copied from {source}" in said and f"{tmp_path / 'nothing'} is not copied: there is no complete run" in said
    assert train.main(runs.arguments("CoOp", "all", tmp_path / "trained", *FEW_SHOT)) == 0
    trained = record(tmp_path / "trained")
    assert copied["copied_from"] == str(source) and copied["timing"] == record(source)["timing"]
    for field in ("metrics", "parameters_sha256", "images", "protocol", "task", "origins", "test_classes", "status"):
        assert copied[field] == trained[field], field
    assert copied["test_classes_reason"] == trained["test_classes_reason"]
    assert copied["config"]["OUTPUT_DIR"] == str(tmp_path / "copy")
    assert checkpoints(tmp_path / "copy") == checkpoints(source) != {}
    tested = runs.arguments("CoOp", "all", tmp_path / "tested", "--eval-only", "--model-dir", tmp_path / "copy")
    assert train.main(tested) == 0
    assert record(tmp_path / "tested")["metrics"] == copied["metrics"]
    assert train_again(runs, tmp_path / "copy", tmp_path / "third")["copied_from"] == str(source)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("OPTIM.LR", 0.02), "OPTIM.LR is 0.01 there, 0.02 here"),
        (("SEED", 2), "SEED is 1 there, 2 here"),
        (("SEED", -1), "this run has no seed"),
        (("DATALOADER.NUM_WORKERS", 1), "DATALOADER.NUM_WORKERS is 0 there, 1 here"),
        (("--no-train",), "this run trains nothing"),
        (("TEST.CLASSES", "unseen"), "TEST.CLASSES is seen there, unseen here"),
    ],
)
def test_another_training_is_trained_and_the_difference_is_said(runs, source, tmp_path, capsys, options, reason):
    assert "copied_from" not in train_again(runs, source, tmp_path / "other", *options)
    assert f"{source} is not copied: {reason}" in capsys.readouterr().out


def test_settings_of_other_methods_do_not_matter(runs, source, tmp_path):
    older = json.loads((source / "run.json").read_text(encoding="utf-8"))
    del older["config"]["TRAINER"]["MMRL"], older["origins"]
    shutil.copytree(source, tmp_path / "older")
    (tmp_path / "older" / "run.json").write_text(json.dumps(older), encoding="utf-8")
    assert train_again(runs, tmp_path / "older", tmp_path / "copy")["copied_from"] == str(tmp_path / "older")


def test_a_file_that_a_setting_names_must_be_older(tmp_path, capsys):
    runs = Runs(tmp_path)
    source = runs("CoOp", "all", "TEST.CLASSES", "seen")
    assert "copied_from" in train_again(runs, source, tmp_path / "before")
    weights = (tmp_path / "clip.pt").rename(tmp_path / "old.pt")
    shutil.copy2(weights, tmp_path / "clip.pt")  # keeps the time of its last change
    assert "copied_from" not in train_again(runs, source, tmp_path / "after")
    assert "clip.pt (MODEL.BACKBONE.NAME) has changed since" in capsys.readouterr().out


def test_other_images_under_the_same_names_are_other_data(tmp_path, capsys):
    runs = Runs(tmp_path)
    source = runs("CoOp", "all", "TEST.CLASSES", "seen")
    file = runs.files()[0]
    file.write_bytes(runs.files()[-1].read_bytes() + b"0")
    assert "copied_from" not in train_again(runs, source, tmp_path / "other")
    assert f"{source} is not copied: its images are others" in capsys.readouterr().out


def test_a_run_that_has_begun_continues(runs, source, tmp_path, capsys):
    shutil.copytree(source, tmp_path / "begun")
    RunRecord(tmp_path / "begun", record(source)).interrupted(KeyboardInterrupt())
    assert "copied_from" not in train_again(runs, source, tmp_path / "begun")
    assert "this run has begun already" in capsys.readouterr().out


@pytest.mark.parametrize("killed", [True, False])
def test_a_copy_that_breaks_off_leaves_nothing_behind(runs, source, tmp_path, monkeypatch, capsys, killed):
    copy_one, count = reuse._copy, iter(range(100))

    def breaks_off(one, other):
        copy_one(one, other)
        if next(count) == 1:
            raise KeyboardInterrupt if killed else OSError(5, "Input/output error", str(one))

    monkeypatch.setattr(reuse, "_copy", breaks_off)
    words = runs.arguments("CoOp", "all", tmp_path / "copy", *FEW_SHOT, "--reuse", source)
    if killed:
        assert train.main(words) == 130
        assert checkpoints(tmp_path / "copy") == {} and record(tmp_path / "copy")["status"] == "interrupted"
        (tmp_path / "copy" / ".copy-left").mkdir()  # by a copy that had no time to clear up
        assert train.main(words) == 0
        assert record(tmp_path / "copy")["copied_from"] == str(source)
    else:
        assert train.main(words) == 0
        assert "it cannot be copied" in capsys.readouterr().out and "copied_from" not in record(tmp_path / "copy")
    assert not list((tmp_path / "copy").glob(".copy-*"))


def test_a_source_that_changes_meanwhile_is_not_copied(runs, source, tmp_path, monkeypatch, capsys):
    shutil.copytree(source, tmp_path / "source")
    copy_one = reuse._copy

    def begins_anew(one, other):
        copy_one(one, other)
        RunRecord(tmp_path / "source", record(source)).write()

    monkeypatch.setattr(reuse, "_copy", begins_anew)
    assert "copied_from" not in train_again(runs, tmp_path / "source", tmp_path / "copy")
    assert "it has changed meanwhile" in capsys.readouterr().out


def test_linked_folders_are_copied_and_runs_inside_are_not(runs, source, tmp_path):
    (folder,) = {path.parent for path in source.rglob("*.pth.tar*")}
    shutil.copytree(source, tmp_path / "source")
    moved = (tmp_path / "source" / folder.name).rename(tmp_path / "elsewhere")
    (tmp_path / "source" / folder.name).symlink_to(moved)
    shutil.copytree(source, tmp_path / "source" / "inner")
    train_again(runs, tmp_path / "source", tmp_path / "copy")
    assert checkpoints(tmp_path / "copy") == checkpoints(source)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("config RESUME", "elsewhere", "continues another"),
        ("plugins", ["mine.py"], "plugins"),
        ("marks", ["texts of a language model"], "texts"),
        ("flags eval_only", True, "trains nothing"),
    ],
)
def test_runs_that_may_have_learned_something_else(source, place, value, reason):
    wanted = copy.deepcopy(record(source))
    assert reuse._never(wanted) == ""
    *above, last = place.split()
    part = wanted
    for name in above:
        part = part[name]
    part[last] = value
    assert reason in reuse._never(wanted)


@pytest.mark.parametrize("preset", ["paper", "fair"])
def test_the_runs_that_are_offered(tmp_path, preset):
    def planned(protocol: str, stage: str, seed: int, dataset: str = "imagenet"):
        return place(plan(protocol, stage, "TCP", dataset, [seed], [16])[0], preset, {})

    done = [planned("cross_dataset", "train", 1), planned("cross_dataset", "train", 2), planned("few_shot", "train", 1)]
    for run in done:
        RunRecord(tmp_path / run.folder, {}).complete({})
    offered = ["--reuse", str(tmp_path / done[0].folder)]
    assert reuse.words(done[2], tmp_path) == offered  # itself is none of them
    assert reuse.words(planned("few_shot", "train", 2), tmp_path) == ["--reuse", str(tmp_path / done[1].folder)]
    assert reuse.words(planned("few_shot", "train", 3), tmp_path) == []
    assert reuse.words(planned("few_shot", "train", 1, "dtd"), tmp_path) == []
    assert reuse.words(planned("cross_dataset", "test", 1, "dtd"), tmp_path) == []
    RunRecord(tmp_path / done[0].folder, {}).interrupted(KeyboardInterrupt())
    assert reuse.words(done[2], tmp_path) == []


def test_own_images_are_offered_under_their_own_name(tmp_path):
    protocols = ("cross_dataset", "few_shot")
    (run,), (other,) = (plan(name, "train", "TCP", "folder", [1], [16], own_name="birds [1]") for name in protocols)
    RunRecord(tmp_path / run.folder, {}).complete({})
    assert reuse.words(other, tmp_path) == ["--reuse", str(tmp_path / run.folder)]


def test_a_sweep_copies_only_when_asked(tmp_path):
    words = ["few_shot", "--methods", "TCP", "--datasets", "dtd", "--shots", "16", "--seeds", "1"]
    words += ["--output", str(tmp_path)]
    (run,) = sweep.planned(sweep.make_parser().parse_args(words))
    (other,) = plan("cross_dataset", "train", "TCP", "dtd", [1], [16])
    RunRecord(tmp_path / other.folder, {}).complete({})
    assert "--reuse" not in sweep.command_of(run, sweep.make_parser().parse_args(words))
    found = sweep.command_of(run, sweep.make_parser().parse_args([*words, "--reuse"]))
    assert found[-2:] == ["--reuse", str(tmp_path / other.folder)]


@pytest.mark.parametrize("given", [[], ["--reuse"]])
def test_a_script_copies_only_when_asked(tmp_path, monkeypatch, given):
    (done,), (run,) = (plan(name, "train", "TCP", "dtd", [1], [16]) for name in ("cross_dataset", "few_shot"))
    RunRecord(tmp_path / done.folder, {}).complete({})
    commands = []

    class Process:
        def __init__(self, command):
            commands.append(command)

        def wait(self):
            return RunRecord(tmp_path / run.folder, {}).complete({}) or 0

    monkeypatch.setattr(launch.subprocess, "Popen", Process)
    monkeypatch.setattr(launch, "summarise", lambda group: None)
    words = ["few_shot", "train", "TCP", "dtd", "1", "--shots", "16", "--output", str(tmp_path), *given]
    assert launch.main(words) == 0
    (command,) = commands
    assert command[-2:] == ["--reuse", str(tmp_path / done.folder)] if given else "--reuse" not in command
