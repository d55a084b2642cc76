"""`mmrl data check`: a row per dataset that says what is wrong."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from datasets import check
from datasets.base.metadata import read_facts
from mmrl.commands import data_check


@pytest.fixture
def textures(tmp_path, monkeypatch):
    """Eight images of two classes, and facts that say so."""
    rows = {"train": [], "val": [], "test": []}
    (tmp_path / "dtd" / "images").mkdir(parents=True)
    for i, part in enumerate(["train", "train", "val", "test"]):
        for label, name in enumerate(("banded", "dotted")):
            Image.new("RGB", (8, 8)).save(tmp_path / "dtd" / "images" / f"{name}{i}.jpg")
            rows[part].append([f"{name}{i}.jpg", label, name])
    (tmp_path / "dtd" / "split_zhou_DescribableTextures.json").write_text(json.dumps(rows))
    facts = {"DescribableTextures": {"classes": "2", "train": "4", "val": "2", "test": "2"}}
    monkeypatch.setattr(check, "read_facts", lambda: read_facts() | facts)
    return tmp_path


def row(root, name="DescribableTextures", deep=False):
    return check.check(name, root, deep)


def test_complete(textures):
    assert row(textures, deep=True) == ["DescribableTextures", "found", "2", "4", "2", "2", ""]


def test_missing(tmp_path):
    assert row(tmp_path)[1] == "missing"


def test_other_counts(textures):
    file = textures / "dtd" / "split_zhou_DescribableTextures.json"
    split = json.loads(file.read_text())
    split["test"].pop()
    file.write_text(json.dumps(split))
    assert row(textures)[1:6] == ["different", "2", "4", "2", "1 (not 2)"]


def test_a_missing_image_is_named(textures):
    (textures / "dtd" / "images" / "dotted1.jpg").unlink()
    state, *_, remark = row(textures)[1:]
    assert state == "incomplete" and "dotted1.jpg" in remark


def test_a_image_that_does_not_open_is_found_by_looking_deep(textures):
    (textures / "dtd" / "images" / "dotted1.jpg").write_bytes(b"")
    assert row(textures)[1] == "found"
    state, *_, remark = row(textures, deep=True)[1:]
    assert state == "incomplete" and "dotted1.jpg" in remark


def test_nothing_is_written(textures):
    before = sorted(textures.rglob("*"))
    row(textures, deep=True)
    assert sorted(textures.rglob("*")) == before


def test_command_line(textures, capsys):
    assert data_check.main(["dtd", "--root", str(textures)]) == 0
    assert data_check.main(["--root", str(textures)]) == 1
    table = capsys.readouterr().out
    assert "ImageNetR" in table and "missing" in table


def test_missing_images_are_counted_with_a_hint(textures):
    for path in (textures / "dtd" / "images").glob("dotted*.jpg"):
        path.rename(path.with_suffix(".png"))
    state, *_, remark = row(textures)[1:]
    assert state == "incomplete"
    assert "4 of 8 images are missing" in remark and "4 of them are there under the ending .png" in remark
