"""Splits, few-shot choice and class halves against the published code's results (golden/fewshot.json)."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from datasets.base import few_shot, splits
from datasets.base.splits import Datum, Split, SplitError

GOLDEN = Path(os.environ.get("GOLDEN_DIR", Path(__file__).parents[2] / "golden"))


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads((GOLDEN / "fewshot.json").read_text(encoding="utf-8"))


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A folder for images that are never opened: the check that they exist is off."""
    monkeypatch.setattr("dassl.data.datasets.base_dataset.os.path.isfile", lambda path: True)
    return tmp_path / "images"


def data(rows, folder) -> list[Datum]:
    return [Datum(folder / row[0], row[1], 0, row[2] if len(row) > 2 else f"class {row[1]}") for row in rows]


def names(items) -> list[str]:
    return [Path(item.impath).name for item in items]


def rows(items) -> list[list]:
    return [[Path(item.impath).name, item.label, item.classname] for item in items]


def test_few_shot_choice(golden, images):
    split = Split(data(golden["train"], images), data(golden["val"], images), [])
    for case in golden["fewshot"]:
        chosen = few_shot.few_shot(split, case["shots"], case["seed"], images)
        assert names(chosen.train) == case["train"]
        assert names(chosen.val) == case["val"]


def test_few_shot_keeps_everything_below_one_shot(golden, images):
    split = Split(data(golden["train"], images), data(golden["val"], images), [])
    assert few_shot.few_shot(split, -1, 1, images) is split


def test_split_trainval(golden, images):
    for case in golden["split_trainval"]:
        train, val = splits.split_trainval(data(golden["train"], images), random.Random(case["seed"]))
        assert names(train) == case["train"]
        assert names(val) == case["val"]


def test_a_class_too_small_to_split_is_named(images):
    with pytest.raises(ValueError, match="'axolotl' has 2 images"):
        splits.split_trainval(data([["a.png", 0, "axolotl"], ["b.png", 0, "axolotl"]], images), random.Random(1))


@pytest.mark.parametrize("classes", ["all", "base", "new"])
def test_subsample(golden, images, classes):
    for case in golden["subsample"]:
        whole = Split(*(data(case[part], images) for part in Split._fields))
        part = splits.subsample(whole, classes)
        assert {name: rows(items) for name, items in part._asdict().items()} == case[classes]


def test_subsample_refuses_other_words(images):
    with pytest.raises(ValueError, match="'old'; it must be one of all, base, new"):
        splits.subsample(Split([], [], []), "old")


def test_cached_choice_is_used_again(golden, images, tmp_path):
    split = Split(data(golden["train"], images), data(golden["val"], images), [])
    cache = tmp_path / "split_fewshot"
    drawn = few_shot.few_shot(split, 2, 1, images, cache)
    kept = json.loads((cache / "shot_2-seed_1.json").read_text())
    assert kept["train"] == names(drawn.train)
    (cache / "shot_2-seed_1.json").rename(cache / "shot_2-seed_7.json")  # a seed that would draw others
    assert names(few_shot.few_shot(split, 2, 7, images, cache).train) == names(drawn.train)


def test_an_edited_choice_is_not_used(golden, images, tmp_path, capsys):
    split = Split(data(golden["train"], images), data(golden["val"], images), [])
    cache = tmp_path / "split_fewshot"
    drawn = few_shot.few_shot(split, 2, 1, images, cache)
    kept = json.loads((cache / "shot_2-seed_1.json").read_text())
    kept["train"].reverse()
    (cache / "shot_2-seed_1.json").write_text(json.dumps(kept))
    assert names(few_shot.few_shot(split, 2, 1, images, cache).train) == names(drawn.train)
    assert "drawn anew" in capsys.readouterr().out


def test_a_class_with_fewer_images_than_shots_is_said(golden, images, capsys):
    split = Split(data([["a.png", 0, "axolotl"], *([f"{i}.png", 1, "bat"] for i in range(5))], images), [], [])
    assert len(few_shot.few_shot(split, 4, 1, images).train) == 5
    assert "axolotl (1)" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", '{"train": ["gone.png"], "val": []}', '{"train": []}'])
def test_cache_of_another_split_is_drawn_anew(golden, images, tmp_path, content):
    split = Split(data(golden["train"], images), data(golden["val"], images), [])
    cache = tmp_path / "split_fewshot"
    cache.mkdir()
    (cache / "shot_2-seed_1.json").write_text(content)
    chosen = few_shot.few_shot(split, 2, 1, images, cache)
    assert names(chosen.train) == next(c["train"] for c in golden["fewshot"] if (c["seed"], c["shots"]) == (1, 2))


def test_a_cache_that_cannot_be_written_is_passed_over(golden, images, tmp_path):
    split = Split(data(golden["train"], images), data(golden["val"], images), [])
    (tmp_path / "file").write_text("in the way of a folder")
    chosen = few_shot.few_shot(split, 2, 1, images, tmp_path / "file" / "split_fewshot")
    assert names(chosen.train) == next(c["train"] for c in golden["fewshot"] if (c["seed"], c["shots"]) == (1, 2))


def test_an_unseeded_choice_is_not_kept(golden, images, tmp_path):
    split = Split(data(golden["train"], images), data(golden["val"], images), [])
    few_shot.few_shot(split, 2, -1, images, tmp_path / "split_fewshot")
    assert not (tmp_path / "split_fewshot").exists()


def test_written_split_reads_back(golden, images, tmp_path):
    split = Split(data(golden["train"], images), data(golden["val"], images), [])
    splits.write_split(split, tmp_path / "split.json", images)
    again = splits.read_split(tmp_path / "split.json", images)
    assert [rows(part) for part in again] == [rows(part) for part in split]


def test_missing_split_file_is_named(tmp_path):
    with pytest.raises(SplitError, match=r"split_zhou_X\.json"):
        splits.read_split(tmp_path / "split_zhou_X.json", tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", '{"train": [["a.png", 0]], "val": [], "test": []}', "[1]"])
def test_malformed_split_file_is_refused(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(SplitError, match=r"split\.json .* cannot be read as a split file"):
        splits.read_split(tmp_path / "split.json", tmp_path)


def test_missing_image_is_named(tmp_path):
    (tmp_path / "split.json").write_text('{"train": [["a/b.png", 0, "axolotl"]], "val": [], "test": []}')
    with pytest.raises(FileNotFoundError, match=r"b\.png"):
        splits.read_split(tmp_path / "split.json", tmp_path)
