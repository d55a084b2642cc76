"""Images of the user's own: class folders, splits, manifests, class names, small classes."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import pytest

from dassl.data.class_names import ClassNamesError
from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.splits import SplitError


def build(root, shots: int = -1, seed: int = 1, classes: str = "all"):
    settings = SimpleNamespace(ROOT=str(root), NUM_SHOTS=shots, SUBSAMPLE_CLASSES=classes)
    return DATASET_REGISTRY.get("Folder")(SimpleNamespace(DATASET=settings, SEED=seed))


def fill(folder, **counts: int) -> None:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i}.jpg").touch()


def sizes(dataset) -> tuple[int, int, int]:
    return len(dataset.train_x), len(dataset.val or []), len(dataset.test)


def test_class_folders_are_split_the_same_for_every_seed(tmp_path):
    fill(tmp_path, axolotl=10, bat=20)
    (tmp_path / "bat" / "notes.txt").touch()
    first, other = build(tmp_path, seed=1), build(tmp_path, seed=2)
    assert first.classnames == ["axolotl", "bat"]
    assert sizes(first) == (15, 6, 9)
    assert [item.impath for item in first.test] == [item.impath for item in other.test]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("train",), (10, 4, 6)),
        (("train", "test"), (20, 0, 20)),  # nothing is set aside unless asked
        (("train", "val"), (20, 20, 20)),
        (("train", "val", "test"), (20, 20, 20)),
    ],
)
def test_splits_that_are_given_are_kept(tmp_path, parts, expected):
    for part in parts:
        fill(tmp_path / part, axolotl=10, bat=10)
    dataset = build(tmp_path)
    assert sizes(dataset) == expected
    assert all(f"/{parts[-1]}/" in item.impath for item in dataset.test)


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (2, 0, 1)), (4, (2, 1, 1))])
def test_small_classes(tmp_path, count, expected):
    fill(tmp_path, axolotl=count, bat=100)
    dataset = build(tmp_path)
    parts = (dataset.train_x, dataset.val, dataset.test)
    assert tuple(sum(item.classname == "axolotl" for item in part) for part in parts) == expected


def test_fewer_images_than_shots_is_said(tmp_path, capsys):
    fill(tmp_path, axolotl=3, bat=100)
    dataset = build(tmp_path, shots=16)
    assert len(dataset.train_x) == 2 + 16
    assert "axolotl (2)" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["red axolotl\nfruit bat\n", "bat fruit bat\naxolotl red axolotl\n"])
def test_names_from_a_file(tmp_path, text):
    fill(tmp_path, axolotl=10, bat=10)
    (tmp_path / "classnames.txt").write_text(text)
    assert build(tmp_path).classnames == ["red axolotl", "fruit bat"]


def test_a_file_of_names_that_does_not_fit_is_refused(tmp_path):
    fill(tmp_path, axolotl=10, bat=10)
    (tmp_path / "classnames.txt").write_text("axolotl\n")
    with pytest.raises(SplitError, match="1 lines for 2 class folders"):
        build(tmp_path)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_manifest(tmp_path, form):
    fill(tmp_path, x=4)
    rows = [
        {"path": "x/0.jpg", "label": "7", "classname": "red, big", "split": "train"},
        {"path": "x/1.jpg", "label": "10", "classname": "blue", "split": "Train"},
        {"path": "x/2.jpg", "label": "7", "classname": "red, big", "split": "test"},
        {"path": "x/3.jpg", "label": "10", "classname": "blue", "split": "val"},
    ]
    if form == "csv":
        with open(tmp_path / "manifest.csv", "w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    dataset = build(tmp_path)
    assert dataset.classnames == ["red, big", "blue"]  # 7 comes before 10
    assert sizes(dataset) == (2, 1, 1)


def test_manifest_with_names_alone_is_split(tmp_path):
    fill(tmp_path, x=10, y=10)
    lines = ["path,classname", *(f"{n}/{i}.jpg,{n}" for n in "yx" for i in range(10))]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    dataset = build(tmp_path, classes="base")
    assert dataset.classnames == ["x"]
    assert sizes(dataset) == (5, 2, 3)


@pytest.mark.parametrize("line", ["x/0.jpg,,,train", "x/0.jpg,0,a,exam", ",0,a,train"])
def test_a_line_that_is_not_understood_is_named(tmp_path, line):
    fill(tmp_path, x=1)
    (tmp_path / "manifest.csv").write_text(f"path,label,classname,split\nx/0.jpg,0,a,train\n{line}\n")
    with pytest.raises(SplitError, match=r"manifest\.csv, line 3"):
        build(tmp_path)


def test_a_image_that_is_not_there_is_named(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,classname\ngone.jpg,a\n")
    with pytest.raises(FileNotFoundError, match=r"line 2.*gone\.jpg"):
        build(tmp_path)


def test_an_empty_folder_says_what_is_expected(tmp_path):
    with pytest.raises(SplitError, match=r"train/<class>"):
        build(tmp_path)


def test_nothing_is_written_beside_the_images(tmp_path):
    fill(tmp_path, axolotl=10, bat=10)
    before = sorted(tmp_path.rglob("*"))
    first, again = build(tmp_path, shots=2), build(tmp_path, shots=2)
    assert sorted(tmp_path.rglob("*")) == before
    assert [item.impath for item in first.train_x] == [item.impath for item in again.train_x]


def test_a_choice_that_other_code_kept_is_no_class(tmp_path):
    fill(tmp_path, axolotl=10, bat=10)
    fill(tmp_path / "split_fewshot", shot=3)
    assert build(tmp_path).classnames == ["axolotl", "bat"]


def test_class_folders_that_are_no_utf8_need_a_name(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    try:
        fill(tmp_path, **{name: 10, "bat": 10})
    except OSError:
        pytest.skip("a file system that knows UTF-8 only")
    with pytest.raises(ClassNamesError, match=r"caf.*xe9.*UTF-8"):
        build(tmp_path)
    (tmp_path / "classnames.txt").write_text("bat\ncoffee house\n")
    assert build(tmp_path).classnames == ["bat", "coffee house"]


def test_all_training_images_are_given_without_labels_where_asked_for(tmp_path):
    """The new classes' too, and however few labelled ones there are."""
    fill(tmp_path, ant=10, bat=20, cow=10, dog=10)
    settings = SimpleNamespace(ROOT=str(tmp_path), NUM_SHOTS=2, SUBSAMPLE_CLASSES="base", UNLABELLED=True)
    dataset = DATASET_REGISTRY.get("Folder")(SimpleNamespace(DATASET=settings, SEED=1))
    assert dataset.classnames == ["ant", "bat"] and len(dataset.train_x) == 4
    assert dataset.domain_classnames == ["ant", "bat", "cow", "dog"]
    whole = build(tmp_path).train_x
    assert [item.impath for item in dataset.train_u] == [item.impath for item in whole]
    assert {(item.label, item.classname) for item in dataset.train_u} == {(-1, "")}
    assert build(tmp_path, shots=2, classes="base").train_u is None
