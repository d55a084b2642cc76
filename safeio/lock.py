"""Lock of a folder for one process at a time: a second one gets an error that names the first.

The lock is the operating system's (flock, or what `filelock` has for the platform), on a file in the folder: it ends
with the process, however that ends, so nothing needs cleaning up after a kill. A file beside it says who holds it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from safeio.atomic import atomic_write_json
from safeio.errors import UserError
from safeio.read_back import read_json

LOCK, HOLDER = ".lock", ".lock.json"
PATIENCE = 15.0
"""Seconds to wait where the holder is dead: worker processes that outlive a kill notice it within five."""


class FolderInUse(UserError, RuntimeError):
    """Another process works in the folder; the message says which, where, and since when."""


@contextlib.contextmanager
def sole_use(folder: str | os.PathLike, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of `folder`, which is made when missing, for the length of the block.

    Raises:
        FolderInUse: another process, or another block of this one, has it.
        OSError: the folder cannot be made or written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, thread_local=False)
    _acquire(lock, folder, patience)
    try:
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        atomic_write_json(folder / HOLDER, about)
        yield
    finally:
        with contextlib.suppress(OSError):  # a disk that went read-only must not hide what happened before
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, folder: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            lock.acquire(timeout=0)
            return
        except Timeout:
            about = holder(folder)
            if _alive(about) or time.monotonic() > deadline:
                raise FolderInUse(_message(folder, about)) from None
            time.sleep(0.2)


def holder(folder: str | os.PathLike) -> dict[str, Any]:
    """Return the last holder's entry (pid, host, since); empty if there is none yet."""
    try:
        return read_json(Path(folder) / HOLDER, dict)
    except UserError:  # the lock itself is the system's: this only says whose it is
        return {}


def in_use(folder: str | os.PathLike) -> bool:
    """Return whether a process works in the folder, by its entry; a killed one of another machine still seems to."""
    return _alive(holder(folder))


def _alive(about: dict[str, Any]) -> bool:
    """Return whether that process may be running; one on another machine always may."""
    if about.get("host") != socket.gethostname():
        return "host" in about
    try:
        os.kill(int(about["pid"]), 0)
    except ProcessLookupError:
        return False
    except (KeyError, OverflowError, TypeError, ValueError, OSError):
        return True
    return True


def _message(folder: Path, about: dict[str, Any]) -> str:
    who = "another process"
    if about:
        who = f"process {about.get('pid')} on {about.get('host')} since {about.get('since')}"
    return (
        f"The folder {folder} is in use by {who}. Wait for it, stop it, or give this run another folder "
        f"(--output-dir, or OUTPUT for the scripts)."
    )
