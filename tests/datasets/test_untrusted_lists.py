"""Split files, manifests and few-shot choices of any content: read, or refused in an error that names the file."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dassl.data.class_names import ClassNamesError
from datasets.base.published_splits import ForeignListError, read_foreign, read_jsonl
from datasets.base.splits import SplitError, read_split
from datasets.own.read import read_table
from datasets.own.table import ALLOWABLE

QUIET = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DEEP = b"[" * 100_000  # deeper than Python follows
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ROW = st.tuples(st.sampled_from(["here.png", "/etc/passwd", "../here.png", ""]) | JSON, JSON, JSON).map(list)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "here.png").write_bytes(b"image")
    return tmp_path


def names_file(error: Exception, name: str) -> None:
    assert name in str(error.args[0]) or name in str(error)


@QUIET
@given(JSON | st.fixed_dictionaries({part: st.lists(ROW, max_size=3) | JSON for part in ("train", "val", "test")}))
@example({"train": [["here.png", 1e999, "x"]], "val": [], "test": []})
@example({"train": [["here.png", "1", "x", "more"]], "val": [], "test": []})
def test_split_files(folder, content):
    (folder / "split.json").write_text(json.dumps(content), encoding="utf-8")
    try:
        assert all(item.label >= 0 for part in read_split(folder / "split.json", folder) for item in part)
    except SplitError as error:
        names_file(error, "split.json")
    except FileNotFoundError as error:
        assert str(error)


@QUIET
@given(st.binary(max_size=60))
@example(b"\xff\xfe")
@example(DEEP)
def test_split_files_of_any_bytes(folder, content):
    (folder / "split.json").write_bytes(content)
    with pytest.raises(SplitError, match=r"split\.json"):
        read_split(folder / "split.json", folder)


@QUIET
@given(st.sampled_from(["manifest.csv", "manifest.jsonl"]), st.binary(max_size=80))
@example("manifest.csv", b"path,label\nhere.png,\xff\n")
@example("manifest.csv", b"path,label\nhere.png,0\nhere.png,0,more\n")
@example("manifest.csv", b'path,label\n"here.png')
@example("manifest.csv", b"path,label\nhere\x00.png,0\n")
@example("manifest.jsonl", b"[1, 2]\n")
@example("manifest.jsonl", b'{"path": ["here.png"], "label": {}}\n')
@example("manifest.jsonl", '{"path": "here.png", "label": "²"}\n'.encode())
@example("manifest.jsonl", DEEP)
def test_manifests(folder, name, content):
    for other in ("manifest.csv", "manifest.jsonl"):
        (folder / other).unlink(missing_ok=True)
    (folder / name).write_bytes(content)
    try:
        assert read_table(folder, ALLOWABLE).rows
    except (SplitError, ClassNamesError, FileNotFoundError) as error:
        names_file(error, name)


@QUIET
@given(st.binary(max_size=60))
@example(pickle.dumps({"train": [1], "val": []}))
@example(b"cos\nsystem\n(S'touch trace'\ntR.")
@example(b"]q\x00(h\x00h\x00e.")
@example(pickle.dumps([]))
def test_pickled_choices(folder, monkeypatch, content):
    monkeypatch.chdir(folder)
    (folder / "shot_1-seed_1.pkl").write_bytes(content)
    try:
        read_foreign(folder / "shot_1-seed_1", folder)
    except ForeignListError as error:
        names_file(error, "shot_1-seed_1.pkl")
    assert not (folder / "trace").exists()


@QUIET
@given(st.binary(max_size=60))
@example(b"\xff")
@example(b'{"impath": "a", "label": 1e999, "classname": "b"}')
@example(DEEP)
def test_listed_choices(folder, content):
    (folder / "list.jsonl").write_bytes(content)
    try:
        read_jsonl(folder / "list.jsonl")
    except ForeignListError as error:
        names_file(error, "list.jsonl")
