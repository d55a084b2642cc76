"""`mmrl data texts`: where texts about classes belong, and what is said of those that lack something."""

import json

import pytest

from mmrl.__main__ import main
from mmrl.commands.data_texts import classes_of

DATASET = "caltech101_64"


@pytest.fixture(scope="module")
def names():
    return classes_of(DATASET, "none")


def call(capsys, root, *words):
    status = main(["data", "texts", DATASET, "--root", str(root), *map(str, words)])
    shown = capsys.readouterr()
    return status, shown.out + shown.err


def test_where_they_belong(tmp_path, capsys):
    status, said = call(capsys, tmp_path)
    assert status == 1 and str(tmp_path / "texts" / "Caltech101Small.json") in said and "--file" in said


def test_a_whole_file_is_put_in_its_place(names, tmp_path, capsys):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({name.replace("_", " ").title(): ["a text", "another"] for name in names}))
    status, said = call(capsys, tmp_path, "--file", file)
    assert status == 0 and f"All {len(names)} classes have texts" in said
    assert (tmp_path / "texts" / "Caltech101Small.json").read_text() == file.read_text()
    assert call(capsys, tmp_path)[0] == 0


@pytest.mark.parametrize("kept", ["none", "some"])
def test_what_is_missing_is_named(names, kept, tmp_path, capsys):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({name: [] if kept == "none" and name == names[3] else ["x"] for name in names[:9]}))
    status, said = call(capsys, tmp_path, "--file", file)
    assert status == 1 and f"of {len(names)} classes" in said and names[9 if kept == "some" else 3] in said
    assert not (tmp_path / "texts").exists()


@pytest.mark.parametrize("content", ["[]", "{", '{"cat": "a cat"}', '{"cat": [1]}'])
def test_another_layout_is_refused_in_words(content, tmp_path, capsys):
    file = tmp_path / "mine.json"
    file.write_text(content)
    status, said = call(capsys, tmp_path, "--file", file)
    assert status != 0 and "mine.json" in said and "list of texts for each class" in said and "Traceback" not in said
