"""Texts about classes: where they are looked for, what is said where they lack, templates by an explicit choice."""

import json

import pytest

from dassl.config import ConfigError
from safeio.errors import UserError
from trainers.base.class_texts import class_texts
from trainers.base.method import Task
from trainers.coprompt import check_counts

NAMES = ("cat", "big_Dog")


def task(root) -> Task:
    return Task(NAMES, "a photo of a {}.", "Pets", str(root))


def write(path, **texts):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({name.replace("_", " "): own for name, own in texts.items()}))


def test_beside_the_data_unless_a_file_is_named(tmp_path):
    write(tmp_path / "texts" / "Pets.json", cat=["one"], Big_dog=["two", "three"], ox=["four"])
    write(tmp_path / "mine.json", cat=["mine"], big_dog=["too"])
    assert class_texts("HICROPL", "", task(tmp_path)) == [["one"], ["two", "three"]]
    assert class_texts("HICROPL", str(tmp_path / "mine.json"), task(tmp_path)) == [["mine"], ["too"]]


def test_templates_are_an_explicit_choice(tmp_path):
    found = class_texts("COPROMPT", "templates", task(tmp_path))
    assert len(found[0]) == len(found[1]) == 60 and all("big Dog" in text for text in found[1])


@pytest.mark.parametrize("file", ["", "nowhere.json"])
def test_without_a_file_the_command_is_named(file, tmp_path):
    with pytest.raises(ConfigError, match=r"TRAINER\.HICROPL\.TEXTS.*mmrl data texts.*templates"):
        class_texts("HICROPL", file, task(tmp_path))


def test_a_class_without_texts_is_named(tmp_path):
    write(tmp_path / "texts" / "Pets.json", cat=["one"], big_dog=[])
    with pytest.raises(ConfigError, match="no texts of 1 classes: big Dog"):
        class_texts("COPROMPT", "", task(tmp_path))


@pytest.mark.parametrize("content", ["{", "[1]", '{"cat": "a text"}', '{"cat": {"a": 1}}'])
def test_another_layout_is_an_error_for_people(content, tmp_path):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(UserError, match=r"mine\.json"):
        class_texts("COPROMPT", str(tmp_path / "mine.json"), task(tmp_path))


def test_coprompt_wants_as_many_for_each_class():
    check_counts([["a"], ["b"]], NAMES)
    with pytest.raises(ConfigError, match="1 of cat and 2 of big_Dog"):
        check_counts([["a"], ["b", "c"]], NAMES)
