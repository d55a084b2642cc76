"""Every command with `| head -1` behind it: whoever read the output has gone, and that is no error."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from short_runs import Runs

import parse_test_res
import train
from dassl.utils import Logger
from mmrl.__main__ import main as mmrl
from mmrl.commands import COMMANDS
from runs.record import INTERRUPTED, read_record
from safeio.entry import PIPE_CLOSED

SHORT = ("base", "TEST.NO_TEST", "True")
WORDS = {
    "predict": ["predict RUN IMAGES", "predict RUN IMAGES --json"],
    "sweep": ["sweep base2new --methods MMRL --datasets caltech101_64 --dry-run"],
    "report": ["report RUN", "report RUN --format markdown", "report RUN --format csv"],
    "demo": ["demo RUN --port 0"],
    "visualize": ["visualize RUN --features IMAGES --output TMP/figures"],
    "export": ["export RUN --format safetensors --output TMP/x.safetensors"],
    "data check": ["data check folder --root IMAGES"],
    "data unpack": ["data unpack clothing_64 TMP/unpacked"],
    "list": ["list methods", "list datasets"],
    "config": ["config MMRL caltech101_64", "config MMRL caltech101_64 --all"],
    "doctor": ["doctor"],
    "help": ["help", "help MMRL", "help train"],
}
"""Command -> words that print something. Those without print their help, as do all."""
BUFFERED = pytest.mark.parametrize("line_buffering", [False, True], ids=["at the end", "at once"])


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("short"))


def unread(main, words: list[str], monkeypatch, line_buffering: bool) -> int:
    """Return the exit status of a command whose output nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1 if line_buffering else -1) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
        finally:
            while isinstance(sys.stdout, Logger):
                sys.stdout.close()
                sys.stdout = sys.stdout.console
            monkeypatch.undo()
    return status  # closing the stream would have failed if something were held back


def said_nothing(capsys) -> bool:
    said = capsys.readouterr().err
    return "Traceback" not in said and "error" not in said and "Broken pipe" not in said


@BUFFERED
@pytest.mark.parametrize("words", [words for of in WORDS.values() for words in of])
def test_commands(words, line_buffering, short, tmp_path, monkeypatch, capsys):
    places = {"RUN": short("CoOp", *SHORT), "IMAGES": short.images, "TMP": tmp_path}
    command = words.split()
    for name, path in places.items():
        command = [word.replace(name, str(path)) if word.startswith(name) else word for word in command]
    monkeypatch.chdir(tmp_path)
    assert unread(mmrl, command, monkeypatch, line_buffering) == PIPE_CLOSED
    assert said_nothing(capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command(command, monkeypatch, capsys):
    assert unread(mmrl, [*command.split(), "--help"], monkeypatch, False) == PIPE_CLOSED
    assert said_nothing(capsys)


@BUFFERED
def test_a_training_is_interrupted_and_goes_on(line_buffering, short, tmp_path, monkeypatch, capsys):
    words = short.arguments("CoOp", SHORT[0], tmp_path / "run", *SHORT[1:], "OPTIM.MAX_EPOCH", "3")
    assert unread(train.main, words, monkeypatch, line_buffering) == PIPE_CLOSED
    assert said_nothing(capsys)
    if line_buffering:
        assert read_record(tmp_path / "run")["status"] == INTERRUPTED
    assert train.main(words) == 0
    wanted = short("CoOp", *SHORT, "OPTIM.MAX_EPOCH", "3")
    assert read_record(tmp_path / "run")["parameters_sha256"] == read_record(wanted)["parameters_sha256"]


def test_the_parser_of_logs(tmp_path, monkeypatch, capsys):
    log = Path(tmp_path / "logs" / "seed1" / "log.txt")
    log.parent.mkdir(parents=True)
    log.write_text("Finish training\n* accuracy: 71.5%\n")
    assert unread(parse_test_res.main, [str(tmp_path / "logs")], monkeypatch, False) == PIPE_CLOSED
    assert said_nothing(capsys)
