"""A training that another protocol has completed is copied, and only if it is the same training."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from short_runs import Runs

import sweep
import train
from runs import reuse
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


def test_a_copy_is_what_training_again_gives(runs, source, tmp_path, capsys):
    words = runs.arguments("CoOp", "all", tmp_path / "copy", *FEW_SHOT, "--reuse", tmp_path, "--reuse", source)
    assert train.main(words) == 0
    assert f"Copied from {source}" in capsys.readouterr().out
    assert train.main(runs.arguments("CoOp", "all", tmp_path / "trained", *FEW_SHOT)) == 0
    copied, trained = record(tmp_path / "copy"), record(tmp_path / "trained")
    assert copied["copied_from"] == str(source) and copied["timing"] == record(source)["timing"]
    for field in ("metrics", "parameters_sha256", "images", "protocol", "task", "origins", "test_classes", "status"):
        assert copied[field] == trained[field], field
    assert copied["test_classes_reason"] == trained["test_classes_reason"]
    assert copied["config"]["OUTPUT_DIR"] == str(tmp_path / "copy")

    files = {
        folder: {p.relative_to(folder) for p in folder.rglob("*.pth.tar*")} for folder in (source, tmp_path / "copy")
    }
    assert files[source] == files[tmp_path / "copy"] != set()
    tested = runs.arguments("CoOp", "all", tmp_path / "tested", "--eval-only", "--model-dir", tmp_path / "copy")
    assert train.main(tested) == 0
    assert record(tmp_path / "tested")["metrics"] == copied["metrics"]


def test_another_training_is_trained(runs, source, tmp_path, capsys):
    words = runs.arguments("CoOp", "all", tmp_path / "other", *FEW_SHOT, "OPTIM.LR", 0.02, "--reuse", source)
    assert train.main(words) == 0
    assert "Copied" not in capsys.readouterr().out and "copied_from" not in record(tmp_path / "other")


def test_a_run_that_has_begun_continues(runs, source, tmp_path):
    RunRecord(tmp_path / "begun", {}).interrupted(KeyboardInterrupt())
    assert train.main(runs.arguments("CoOp", "all", tmp_path / "begun", *FEW_SHOT, "--reuse", source)) == 0
    assert "copied_from" not in record(tmp_path / "begun")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("config SEED", 2),
        ("config OPTIM LR", 0.02),
        ("config TEST CLASSES", "unseen"),
        ("config RESUME", "elsewhere"),
        ("data fingerprint", "0" * 64),
        ("data root", "elsewhere"),
        ("flags no_train", True),
        ("plugins", ["mine.py"]),
    ],
)
def test_runs_that_differ_are_not_the_same(source, place, value):
    wanted = copy.deepcopy(record(source))
    assert reuse.equal_run(wanted, [source]) == source
    *above, last = place.split()
    part = wanted
    for name in above:
        part = part[name]
    part[last] = value
    assert reuse.equal_run(wanted, [source]) is None


def test_a_run_of_plugins_is_never_copied(source, tmp_path):
    wanted = record(source) | {"plugins": ["mine.py"]}
    RunRecord(tmp_path, {}).complete({})
    (tmp_path / "run.json").write_text(json.dumps(wanted), encoding="utf-8")
    assert reuse.equal_run(wanted, [tmp_path]) is None


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
