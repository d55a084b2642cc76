"""Evaluation reads folders as training does: class names, enclosing folders, splits, images that are left out."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

import mmrl
from inference.labelled_images import class_folders


def put(folder: Path, place: Path, names: dict[str, str] | None = None) -> Path:
    """Copy the class folders to a place, under other names where given."""
    for inner in folder.iterdir():
        shutil.copytree(inner, place / (names or {}).get(inner.name, inner.name))
    return place


@pytest.mark.parametrize("inside", ["", "outer", "outer/inner", "test", "outer/test"])
def test_enclosing_folders_and_splits_are_no_classes(inside, model, folder, tmp_path):
    wanted = model.evaluate(folder)
    put(folder, tmp_path / inside)
    found = model.evaluate(tmp_path)
    assert found.classes == wanted.classes and (found.confusion == wanted.confusion).all()


@pytest.mark.parametrize("inside", ["", "outer"])
def test_folders_have_the_names_of_their_list(inside, model, folder, tmp_path):
    put(folder, tmp_path / inside, {"red": "n01", "green": "n02"})
    (tmp_path / inside / "classnames.txt").write_text("n01\tred\nn02\tgreen\n")
    assert (model.evaluate(tmp_path).confusion == model.evaluate(folder).confusion).all()


def test_a_model_of_the_folders_own_names_keeps_them(model, folder, tmp_path):
    put(folder, tmp_path)
    (tmp_path / "classnames.txt").write_text("red\tcrimson\ngreen\temerald\n")
    assert (model.evaluate(tmp_path).confusion == model.evaluate(folder).confusion).all()


def test_of_splits_the_test_images_are_taken(model, folder, tmp_path):
    put(folder, tmp_path / "train")
    for name in ("red", "green"):
        (tmp_path / "test" / name).mkdir(parents=True)
        shutil.copy(next((folder / name).iterdir()), tmp_path / "test" / name)
    assert model.evaluate(tmp_path).confusion.sum() == 2


def test_a_list_of_images_is_evaluated(model, folder, tmp_path):
    red, green = (next((folder / name).iterdir()) for name in ("red", "green"))
    (tmp_path / "manifest.csv").write_text(f"path,label\n{red},red\n{green},green\n")
    assert model.evaluate(tmp_path / "manifest.csv").confusion.sum() == 2


def test_one_class_is_enough_and_folders_in_classes_belong_to_them(model, folder, tmp_path):
    shutil.copytree(folder / "red", tmp_path / "one" / "red")
    assert model.evaluate(tmp_path / "one").per_class.keys() == {"red"}
    for name in ("red", "green"):
        for part in ("day", "night"):
            shutil.copytree(folder / name, tmp_path / "both" / name / part)
    assert model.evaluate(tmp_path / "both").confusion.sum() == 48


def test_images_that_are_left_out_are_told(model, folder, tmp_path):
    put(folder, tmp_path)
    shutil.copy(next((folder / "red").iterdir()), tmp_path / "loose.png")
    with pytest.warns(UserWarning, match=r"left out, 1 images lie directly in .*loose\.png"):
        assert model.evaluate(tmp_path).confusion.sum() == 24
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(class_folders(folder)) == 24


def test_other_classes_are_refused_with_both_lists(model, folder, tmp_path):
    put(folder, tmp_path, {"red": "n01", "green": "n02"})
    with pytest.raises(
        mmrl.UserError, match=r"n01, n02: not among the model's classes \(green, red, 2 in all\)"
    ) as error:
        model.evaluate(tmp_path)
    assert "classnames.txt" in str(error.value) and "images with labels" in str(error.value)


@pytest.mark.parametrize(("make", "said"), [(False, "no folder"), (True, "no images")])
def test_what_holds_no_images_is_refused(make, said, model, tmp_path):
    if make:
        (tmp_path / "here").mkdir()
    with pytest.raises(mmrl.UserError, match=said):
        model.evaluate(tmp_path / "here")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("panda", "labels is 'panda'; expected a class name for each image"),
        (3, "labels is 3"),
        (["red", None], "1 of 2 are missing"),
        (["red", float("nan")], "1 of 2 are missing"),
    ],
)
def test_labels_are_a_name_for_each_image(given, said, model, images):
    with pytest.raises(mmrl.UserError, match=said):
        model.evaluate(images[:2], given)


def test_too_few_labels_are_said_before_anything_is_computed(model, images, monkeypatch):
    monkeypatch.setattr(type(model), "scores", lambda *_: pytest.fail("computed"))
    with pytest.raises(mmrl.UserError, match="2 images and 1 labels"):
        model.evaluate(images[:2], ["red"])
