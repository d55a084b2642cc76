"""A reader of an atomically written file sees the old one or the new one."""

from __future__ import annotations

import json
import os
import stat
import sys

import pytest
import torch

from safeio.atomic import atomic_write, atomic_write_json, atomic_write_text


def test_new_file_appears_only_at_the_end(tmp_path):
    target = tmp_path / "made" / "on the way" / "file.bin"
    with atomic_write(target) as file:
        file.write(b"all of it")
        assert not target.exists()
    assert target.read_bytes() == b"all of it"
    assert os.listdir(target.parent) == ["file.bin"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, failure):
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    with pytest.raises(failure), atomic_write(target) as file:
        file.write(b"half of the n")
        raise failure
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_permissions_are_those_of_a_plain_open(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    atomic_write_text(tmp_path / "atomic", "")
    plain, atomic = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic"))
    assert atomic == plain


def test_text_and_json(tmp_path):
    atomic_write_text(tmp_path / "a.txt", "grüße 中文\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "grüße 中文\n"
    value = {"z": [1, 2.5, None], "a": {"ü": True}}
    atomic_write_json(tmp_path / "a.json", value)
    read = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert read == value and list(read) == ["z", "a"]


def test_json_refuses_what_other_parsers_cannot_read_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    atomic_write_json(path, {"accuracy": 1.0})
    with pytest.raises(ValueError, match="JSON compliant"):
        atomic_write_json(path, {"accuracy": float("nan")})
    assert json.loads(path.read_text()) == {"accuracy": 1.0}


def test_what_is_no_character_comes_back(tmp_path):
    """A folder's name in another encoding than UTF-8, and half of a pair that JSON can hold."""
    names = [b"caf\xe9".decode("utf-8", "surrogateescape"), "\ud83d", "caf\u00e9 \U0001f600"]
    atomic_write_json(tmp_path / "names.json", names)
    assert json.loads((tmp_path / "names.json").read_text(encoding="utf-8")) == names


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interruption_anywhere_in_torchs_writer_stays_one(stop, tmp_path):
    """Left to itself, the writer answers it with a RuntimeError of its own, or ends the process."""
    (tmp_path / "kept").write_bytes(b"old")
    steps, at = 0, 1

    def interrupt(frame, *_):
        nonlocal steps
        if frame.f_code.co_filename.startswith("<frozen"):  # Python's own import, whose locks do not survive it
            return None
        steps += 1
        if steps == at:
            raise stop
        return interrupt

    while True:
        steps = 0
        try:
            with atomic_write(tmp_path / "kept") as file:
                sys.settrace(interrupt)
                try:
                    torch.save({"a": torch.ones(300), "b": [1, {"x": 3}]}, file)
                finally:
                    sys.settrace(None)
        except stop:
            assert (tmp_path / "kept").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
        else:
            break
        at += 3
    assert at > 200 and torch.load(tmp_path / "kept")["b"] == [1, {"x": 3}]  # many places, and then none


def test_an_error_while_an_interruption_is_handled_stays_that_error(tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            with atomic_write(tmp_path / "file"):
                raise ValueError("NaN") from None
