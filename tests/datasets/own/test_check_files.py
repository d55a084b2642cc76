"""Images that a run will use are decoded before it trains, test images too."""

from __future__ import annotations

import pytest

from datasets.own.check_files import refuse_unreadable
from datasets.own.divide import divide
from datasets.own.read import read_table
from datasets.own.table import OwnDataError

from .conftest import fill


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff\xd8\xff\xe0 cut off"])
def test_a_broken_test_image_is_named_and_the_same_for_every_choice_of_shots(content, tmp_path, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    for part, count in (("train", 3), ("test", 2)):
        fill(tmp_path / "own" / part, cat=count, dog=count)
    split = divide(read_table(tmp_path / "own"))
    refuse_unreadable(split)
    (tmp_path / "own" / "test" / "dog" / "1.png").write_bytes(content)
    messages = []
    for few in (split, split._replace(train=split.train[::3])):
        with pytest.raises(OwnDataError, match=r"cannot be read, 1 in all: .*test.dog.1\.png") as error:
            refuse_unreadable(few)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
