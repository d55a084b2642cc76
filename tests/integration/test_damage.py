"""Every file that a run reads back, damaged in every way: used, passed over with a line, or one error that names it."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch
from short_runs import Runs

import train
from dassl.data.datasets import Datum
from dassl.engine import build_trainer
from dassl.engine.measurements import CURVE, add_to_curve, read_curve
from dassl.utils.checkpoint import (
    POINTER,
    load_checkpoint,
    load_newest_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from datasets.base.few_shot import few_shot
from datasets.base.listing_cache import list_classes
from datasets.base.splits import Split
from inference.run_folder import open_run
from runs.record import RunRecord, read_record
from safeio.errors import UserError
from safeio.lock import HOLDER, holder, in_use, sole_use
from safeio.read_back import DamagedFile, say
from tools.faults.damage import OTHERS, damages, positions, with_other
from trainers.base.trainer import ClipTrainer


@pytest.fixture(autouse=True)
def quiet():
    say.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def checkpoints(folder: Path) -> None:
    for epoch in (1, 2):
        save_checkpoint({"state_dict": {"w": torch.full((30,), float(epoch))}, "epoch": epoch, "about": {}}, folder)


def tried(path: Path, read) -> int:
    """Call `read` after each damage; how many there were."""
    ways = list(damages(path.read_bytes()))
    for name, damage in ways:
        damage(path)
        try:
            read()
        except DamagedFile as error:
            assert str(path.name) in str(error) and "\x1b" not in str(error), name
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
    return len(ways)


def test_checkpoints_fall_back_to_the_one_before(tmp_path, capsys):
    checkpoints(tmp_path)
    path, used = tmp_path / "model.pth.tar-2", []

    def newest():
        say.cache_clear()
        before = len(capsys.readouterr().err)
        state = load_newest_checkpoint(tmp_path)
        used.append(state["epoch"])
        assert torch.equal(state["state_dict"]["w"], torch.full((30,), float(state["epoch"])))
        said = capsys.readouterr().err
        assert state["epoch"] == 2 or path.name in said or not path.is_file(), before

    assert tried(path, newest) > 200
    assert used.count(1) > 150 and 2 in used  # some flips are in bytes that mean nothing


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[ClipTrainer, Path]:
    """A trainer as its run was, and the run's folder."""
    short = Runs(tmp_path_factory.mktemp("short"))
    folder = short("CoOp", "all", "TEST.NO_TEST", "True")
    args = train.parse(short.arguments("CoOp", "all", folder, "TEST.NO_TEST", "True"))
    return build_trainer(train.settings_of_run(args).cfg), folder


def test_checkpoints_with_other_values_at_each_place(trained, tmp_path):
    """Whole files with the right checksums: tested, continued and predicted with, or one error."""
    trainer, folder = trained
    file = "prompt_learner/model.pth.tar-1"
    shutil.copytree(folder, tmp_path / "run")
    content, dice, refused, places = load_checkpoint(folder / file), random.Random(0), Counter(), 0
    readers = {
        "test": lambda: trainer.load_model(tmp_path / "run", 1),
        "continue": lambda: trainer.resume_model_if_exist(tmp_path / "run"),
        "predict": lambda: open_run(tmp_path / "run").restore(trainer.method),
    }
    lacking = [
        {key: value for key, value in content["about"].items() if key != left_out} for left_out in content["about"]
    ]
    changed = [content | {"about": about} for about in lacking]
    for place in positions(content):
        places += 1
        changed += [with_other(content, place, value) for value in dice.sample([*OTHERS, torch.ones(2), 3 + 4j], 3)]
    for number, other in enumerate(changed):
        torch.save(other, tmp_path / "run" / file)
        for name, read in readers.items():
            try:
                read()
            except UserError:
                refused[name] += 1
            except Exception as error:
                raise AssertionError(f"{name}, change {number}: {type(error).__name__}: {error}") from error
    assert places > 50 and all(refused[name] > 20 for name in readers), (places, refused)


def test_a_checkpoint_that_is_asked_for_is_used_or_named(tmp_path):
    checkpoints(tmp_path)
    path = tmp_path / "model.pth.tar-2"

    def asked():
        try:
            assert load_checkpoint(path)["epoch"] == 2
        except FileNotFoundError:
            assert not path.exists()

    assert tried(path, asked) > 200


def test_the_pointer(tmp_path):
    checkpoints(tmp_path)

    def newest():
        found = newest_checkpoint(tmp_path)
        assert found is not None and found.name.startswith("model.pth.tar-")

    assert tried(tmp_path / POINTER, newest) > 80


def test_the_record(tmp_path):
    record = RunRecord(tmp_path, {"method": "CoOp", "seed": 1, "swept": {"A": [1]}, "config": {"A": {"B": 1}}})
    record.complete({"accuracy": 71.5}, classes=["cat"])
    states = []

    def read():
        found = read_record(tmp_path)
        states.append(found)
        if found is not None:
            assert isinstance(found.get("status", ""), str | None) and isinstance(found.get("metrics") or {}, dict)
            json.dumps(found)

    assert tried(tmp_path / "run.json", read) > 300
    assert states.count(None) > 200


def test_the_curve(tmp_path):
    for epoch in (1, 2, 3):
        add_to_curve(tmp_path, epoch, {"loss": 1.0})
    path = tmp_path / CURVE

    def read():
        assert all(isinstance(row["epoch"], int) for row in read_curve(path))

    assert tried(path, read) > 200


def test_who_holds_a_folder(tmp_path):
    with sole_use(tmp_path):
        assert tried(tmp_path / HOLDER, lambda: (holder(tmp_path), in_use(tmp_path))) > 150
        (tmp_path / HOLDER).unlink(missing_ok=True)


def test_the_few_shot_choice(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(6)]
    for file in files:
        file.write_bytes(b"image")
    data = [Datum(file, i % 2, 0, "ab"[i % 2]) for i, file in enumerate(files)]
    cache = tmp_path / "split_fewshot"
    wanted = few_shot(Split(data, data, data), 1, 1, tmp_path, cache)

    def again():
        found = few_shot(Split(data, data, data), 1, 1, tmp_path, cache)
        assert [item.impath for item in found.train] == [item.impath for item in wanted.train]

    path = cache / "shot_1-seed_1.json"
    whole = path.read_bytes()
    for name, damage in damages(whole):
        damage(path)
        again()
        assert path.is_dir() or path.read_bytes() == whole, name


def test_the_listing(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_bytes(b"image")
    cache = tmp_path / "listing.json"
    wanted = list_classes(tmp_path / "images", cache=cache)
    whole = cache.read_bytes()
    for name, damage in damages(whole):
        damage(cache)
        found = list_classes(tmp_path / "images", cache=cache)
        assert set(found) == set(wanted) and all(isinstance(files, list) for files in found.values()), name
