"""One process at a time in a folder, and the second gets the name of the first."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from safeio.lock import HOLDER, FolderInUse, holder, in_use, sole_use

PROJECT = Path(__file__).parent.parent.parent
HOLD = """
import os, sys, time
from safeio.lock import sole_use
with sole_use(sys.argv[1]):
    if len(sys.argv) > 2 and os.fork() == 0:  # as a data loader's worker
        time.sleep(30)
        os._exit(0)
    print("held", flush=True)
    time.sleep(30)
"""


@pytest.fixture
def other(tmp_path):
    """Starts a process that holds the folder."""
    started = []

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD, str(tmp_path), *words]
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout.readline() == "held\n"
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):  # the test may have killed it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_the_second_process_is_told_who_is_there(other, tmp_path):
    process = other()
    with pytest.raises(FolderInUse) as refused, sole_use(tmp_path):
        pass
    message = str(refused.value)
    assert all(part in message for part in (str(tmp_path), f"process {process.pid}", socket.gethostname(), "since 20"))


@pytest.mark.parametrize("words", [[], ["fork"]], ids=["alone", "its child lives on"])
def test_a_killed_process_leaves_nothing_in_the_way(other, tmp_path, words):
    process = other(*words)
    assert in_use(tmp_path)
    process.kill()
    process.wait()
    assert holder(tmp_path)["pid"] == process.pid and not in_use(tmp_path)
    with sole_use(tmp_path, patience=5):
        assert holder(tmp_path)["pid"] == os.getpid()


def test_twice_in_one_process_and_again_afterwards(tmp_path):
    folder = tmp_path / "made" / "here"
    with sole_use(folder):
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} "), sole_use(folder):
            pass
        assert holder(folder)["pid"] == os.getpid()
    with sole_use(folder):
        pass
    assert holder(folder) == {} and not in_use(folder)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_holder_that_says_nothing(tmp_path, content):
    with sole_use(tmp_path):
        (tmp_path / HOLDER).write_text(content)
        with pytest.raises(FolderInUse, match="another process"), sole_use(tmp_path, patience=0):
            pass
