"""The kept listing of class folders is used while it is right, and only then."""

from __future__ import annotations

import json
import os
import time

import pytest

from datasets.base import listing_cache
from datasets.base.listing_cache import list_classes


@pytest.fixture
def tree(tmp_path):
    for name in ("b", "a"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        for i in (2, 10, 1):
            (tmp_path / "tree" / name / f"{i}.jpg").touch()
        (tmp_path / "tree" / name / ".hidden").touch()
        settle(tmp_path / "tree" / name)
    (tmp_path / "tree" / "README.txt").touch()
    return tmp_path / "tree"


def settle(folder, seconds: int = 100) -> None:
    os.utime(folder, (time.time() - seconds,) * 2)


def test_sorted_and_without_hidden_names(tree):
    assert list_classes(tree) == {"a": ["1.jpg", "10.jpg", "2.jpg"], "b": ["1.jpg", "10.jpg", "2.jpg"]}
    assert list(list_classes(tree, ignored=("a",))) == ["b"]


def test_a_kept_listing_is_used(tree, monkeypatch):
    cache = tree.parent / "listing.json"
    first = list_classes(tree, cache=cache)
    content = json.loads(cache.read_text())
    content["classes"]["a"][1] = ["from the listing"]
    cache.write_text(json.dumps(content))
    assert list_classes(tree, cache=cache) == {**first, "a": ["from the listing"]}


def test_a_change_is_seen(tree):
    cache = tree.parent / "listing.json"
    list_classes(tree, cache=cache)
    (tree / "a" / "3.jpg").touch()
    settle(tree / "a", 50)
    (tree / "c").mkdir()
    assert list_classes(tree, cache=cache)["a"] == ["1.jpg", "10.jpg", "2.jpg", "3.jpg"]
    (tree / "a" / "3.jpg").unlink()
    settle(tree / "a", 40)
    assert list(list_classes(tree, cache=cache)) == ["a", "b", "c"]
    assert list_classes(tree, cache=cache)["a"] == ["1.jpg", "10.jpg", "2.jpg"]


def test_a_folder_changed_just_now_is_listed_again(tree):
    cache = tree.parent / "listing.json"
    (tree / "a" / "3.jpg").touch()  # its time may not tell the next change from this one
    list_classes(tree, cache=cache)
    assert json.loads(cache.read_text())["classes"]["a"][0] == 0


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 0}', '{"version": 1, "classes": {"a": 1}}', '{"version": 1, "classes": []}']
)
def test_a_damaged_listing_is_passed_over(tree, text):
    cache = tree.parent / "listing.json"
    cache.write_text(text)
    assert list(list_classes(tree, cache=cache)) == ["a", "b"]
    assert json.loads(cache.read_text())["version"] == listing_cache.VERSION


def test_a_listing_cannot_point_elsewhere(tree):
    cache = tree.parent / "listing.json"
    list_classes(tree, cache=cache)
    content = json.loads(cache.read_text())
    content["classes"]["a"][1] = ["../../secret.jpg"]
    cache.write_text(json.dumps(content))
    assert list_classes(tree, cache=cache)["a"] == ["1.jpg", "10.jpg", "2.jpg"]
