"""A run as a process of its own: starting it, stopping it, and reading its last line of output."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from runs.protocol import CONFIGS
from runs.record import is_complete

PROJECT = CONFIGS.parent
PACKAGE = __name__.removesuffix("runs.sweep.process")  # empty in a clone, `mmrl.` where installed
TRAIN = ("-m", f"{PACKAGE}train") if PACKAGE else (str(PROJECT / "train.py"),)
"""Arguments with which Python runs train.py, from any working folder."""
CONSOLE = "console.txt"
"""All that the newest attempt printed, tracebacks included, in the run's folder."""
IN_USE = 75
"""Exit status of train.py where another process works in the folder."""
COMPLETED = 1000
"""Status of a run that was complete before it could be started; exit statuses are all below 256."""
PATIENCE = 30.0
"""Seconds that a process whose driver was killed is given to save and leave."""


def start(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen:
    """Start a run; it stops when the process that calls this is gone.

    Args:
        command: what comes after `python`: TRAIN and its arguments.
        folder: the run's, where its output is kept.
        env: environment variables on top of this process's.

    The run is in a session of its own, so that a Ctrl-C reaches it only from who started it, once.
    """
    with open_console(folder) as console:
        return subprocess.Popen(
            ending_with_this(command),
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ending_with_this(command: Sequence[str]) -> list[str]:
    """Return the command line of a Python process that is asked to end when this one is gone, killed for example.

    Args:
        command: what comes after `python`.
    """
    return [sys.executable, str(PROJECT / "runs" / "sweep" / "exit_with_parent.py"), str(os.getpid()), *command]


def open_console(folder: str | Path) -> BinaryIO:
    """Return the empty file for what a run prints; makes its folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return open(Path(folder) / CONSOLE, "wb")


def when_free(attempt: Callable[[], int | None], folder: Path, patience: float = PATIENCE) -> int | None:
    """Return the exit status of an attempt, repeated for a while where another process is still in the folder.

    COMPLETED where the folder holds a complete run by then: another sweep has done it since this one was planned.
    """
    deadline = time.monotonic() + patience
    while not is_complete(folder):
        if (status := attempt()) != IN_USE or time.monotonic() >= deadline:
            return status
        time.sleep(1)
    return COMPLETED


def last_line(folder: Path) -> str:
    """The last line that is not empty of what a run printed; empty where there is none."""
    try:
        with open(folder / CONSOLE, encoding="utf-8", errors="replace") as lines:
            found = deque((line.strip() for line in lines if line.strip()), maxlen=1)
    except OSError:
        return ""
    return found[0] if found else ""
