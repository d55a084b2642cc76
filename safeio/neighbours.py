"""Temporary files that hold a file's new bytes until they are complete, and removal of those that killed writers left.

A writer holds the operating system's lock on its neighbour, which ends with the process, however that ends: a
neighbour that nobody holds is a leftover.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed: that is lock enough
    fcntl = None  # type: ignore[assignment]

NEIGHBOUR = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.tmp", re.DOTALL)


@contextlib.contextmanager
def own_neighbour(target: Path) -> Iterator[Path]:
    """Make an empty file beside `target` and yield its path; where it is still there at the end, it is removed.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        path = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
        with open(path, "xb") as file:  # "x": the name is ours alone; mkstemp would narrow the user's umask to 0600
            if fcntl is None:
                file.close()
            else:
                with contextlib.suppress(OSError):  # a file system without locks: its leftovers stay
                    fcntl.flock(file, fcntl.LOCK_EX)
            if not path.exists():  # another writer took it for a leftover before it was locked
                continue
            try:
                yield path
            finally:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            return


def remove_leftovers(folder: str | os.PathLike, name: str | None = None) -> None:
    """Remove the neighbours in a folder that no living writer holds: those of the file `name`, or all."""
    with contextlib.suppress(OSError), os.scandir(Path(folder)) as entries:  # no folder, or none that may be listed
        for entry in entries:
            known = NEIGHBOUR.fullmatch(entry.name)
            if known and name in (None, known["name"]) and entry.is_file(follow_symlinks=False):
                _remove_unless_held(entry.path)


def _remove_unless_held(path: str) -> None:
    with contextlib.suppress(OSError):  # held, gone by now, not ours, or no locks here
        if fcntl is None:
            os.unlink(path)
            return
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(handle)
