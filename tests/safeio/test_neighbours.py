"""Leftovers of a killed writer go with the next write of the same file; the file of a living one stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from safeio import neighbours
from safeio.atomic import atomic_write, atomic_write_text
from safeio.neighbours import own_neighbour, remove_leftovers

PROJECT = Path(__file__).parents[2]
LEFT = ".run.json.0123456789ab.tmp"
WRITER = """
import sys, time
from safeio.atomic import atomic_write
with atomic_write(sys.argv[1]) as file:
    file.write(b"half")
    print("writing", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def writing(target: Path):
    """Yield another process that is in the middle of writing `target`."""
    words = [sys.executable, "-c", WRITER, str(target)]
    with subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


def test_the_next_write_removes_what_a_killed_one_left(tmp_path):
    target = tmp_path / "report [1] *.html"
    with writing(target) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"half"]
    atomic_write_text(target, "whole")
    assert os.listdir(tmp_path) == [target.name] and target.read_text() == "whole"


def test_a_living_writer_keeps_its_file(tmp_path):
    """Another process, and another thread of this one."""
    target = tmp_path / "file.bin"
    with writing(target), atomic_write(target) as mine:
        mine.write(b"mine")
        held = set(os.listdir(tmp_path))
        assert len(held) == 2
        writer = threading.Thread(target=atomic_write_text, args=(target, "of a thread"))
        writer.start()
        writer.join()
        remove_leftovers(tmp_path)
        assert held < set(os.listdir(tmp_path)) and target.read_text() == "of a thread"
    assert target.read_bytes() == b"mine"


def test_of_others_nothing_goes(tmp_path):
    """Other files' leftovers, files that only look alike, folders, pipes, links and what they lead to."""
    (tmp_path / "somebody").write_text("somebody's")
    other = [".curve.json.0123456789ab.tmp", ".run.json.tmp", "run.json.0123456789ab.tmp", ".run.json.0123456789AB.tmp"]
    for name in other:
        (tmp_path / name).write_text("kept")
    (tmp_path / ".run.json.aaaaaaaaaaaa.tmp").mkdir()
    (tmp_path / ".run.json.bbbbbbbbbbbb.tmp").symlink_to(tmp_path / "somebody")
    os.mkfifo(tmp_path / ".run.json.cccccccccccc.tmp")
    before = set(os.listdir(tmp_path))
    (tmp_path / LEFT).write_text("half")
    atomic_write_text(tmp_path / "run.json", "{}")
    assert set(os.listdir(tmp_path)) == before | {"run.json"} and (tmp_path / "somebody").read_text() == "somebody's"


def test_all_of_a_folder(tmp_path):
    for name in (LEFT, ".curve.json.0123456789ab.tmp", "kept.tmp"):
        (tmp_path / name).write_text("half")
    remove_leftovers(tmp_path)
    remove_leftovers(tmp_path / "nowhere")
    assert os.listdir(tmp_path) == ["kept.tmp"]


def test_without_locks_the_file_is_written_and_leftovers_stay(tmp_path, monkeypatch):
    def refused(*words):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(neighbours.fcntl, "flock", refused)
    (tmp_path / LEFT).write_text("half")
    atomic_write_text(tmp_path / "run.json", "{}")
    assert set(os.listdir(tmp_path)) == {LEFT, "run.json"}


def test_a_file_that_was_taken_before_it_was_locked_is_made_anew(tmp_path, monkeypatch):
    made, lock = [], neighbours.fcntl.flock

    def late(file, how):
        made.append(file.name)
        if len(made) == 1:
            remove = neighbours._remove_unless_held
            monkeypatch.setattr(neighbours.fcntl, "flock", lock)
            remove(str(file.name))
            monkeypatch.setattr(neighbours.fcntl, "flock", late)
        lock(file, how)

    monkeypatch.setattr(neighbours.fcntl, "flock", late)
    with own_neighbour(tmp_path / "run.json") as path:
        assert os.listdir(tmp_path) == [path.name] and path.name != Path(made[0]).name
    assert len(made) == 2 and not os.listdir(tmp_path)


def test_many_writers_of_one_file(tmp_path):
    """None takes another's file for a leftover: no write fails, and the last state is one of theirs."""
    target, failed, end = tmp_path / "file.json", [], time.monotonic() + 0.5

    def write(number: int) -> None:
        try:
            while time.monotonic() < end:
                atomic_write_text(target, str(number) * 1000)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(set(target.read_text())) == 1 and os.listdir(tmp_path) == ["file.json"]
