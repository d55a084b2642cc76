"""Outermost frame of a command: what the system answers is one line that says what it is about."""

import os
import sys
from pathlib import Path

import pytest

from safeio.entry import WRONG, command


@command
def prints(text: str) -> int:
    print(text)
    return 0


@command
def looks_around() -> int:
    return int(Path("here").absolute().exists())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_output_that_cannot_be_written_is_named(monkeypatch, capsys):
    with open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert prints("text") == WRONG
        monkeypatch.undo()
    assert capsys.readouterr().err == "error: [Errno 28] No space left on device: 'standard output'\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps a folder that a process works in")
def test_a_working_folder_that_is_gone_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert looks_around() == WRONG
    assert capsys.readouterr().err.startswith("error: The working folder is no longer there")
