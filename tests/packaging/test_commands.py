"""`python -m mmrl COMMAND`: which file is called with which arguments."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest

import mmrl


@pytest.fixture
def called(monkeypatch) -> list:
    """(module, arguments) of every command that is called; none of them does anything."""
    found = []

    def module(name: str) -> SimpleNamespace:
        return SimpleNamespace(main=lambda arguments: found.append((name, arguments)) or 3)

    monkeypatch.setattr(mmrl, "import_module", module)
    monkeypatch.setattr(sys, "argv", ["mmrl"])
    return found


@pytest.mark.parametrize("command", mmrl.COMMANDS)
def test_every_command_has_a_main(command):
    assert callable(importlib.import_module(mmrl.COMMANDS[command][0]).main)


@pytest.mark.parametrize(
    ("words", "module", "rest"),
    [
        (["train", "--seed", "1"], "train", ["--seed", "1"]),
        (["data", "check", "all"], "datasets.check", ["all"]),
        (["report", "data"], "report", ["data"]),
    ],
)
def test_a_command_gets_its_words_and_its_status_is_returned(words, module, rest, called):
    assert mmrl.main(words) == 3
    assert called == [(module, rest)]
    assert sys.argv[0] == "mmrl " + " ".join(words[: len(words) - len(rest)])


@pytest.mark.parametrize(("words", "status"), [([], 2), (["--help"], 0), (["data"], 2), (["trian"], 2)])
def test_other_words_show_the_list(words, status, called, capsys):
    assert mmrl.main(words) == status and not called
    shown = "".join(capsys.readouterr())
    assert all(command in shown for command in mmrl.COMMANDS)
    assert not words or words[0] == "--help" or f"'{words[0]}'" in shown
