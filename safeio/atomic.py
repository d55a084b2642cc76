"""Write a file completely or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from safeio.neighbours import own_neighbour, remove_leftovers


class _Remembering:
    """A file that keeps the error that a write met, and from then on takes everything and writes nothing.

    PyTorch's writer ends the process where a write fails, and other libraries answer with errors of their own.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.error: BaseException | None = None

    def write(self, data: Any) -> int:
        written, length = 0, memoryview(data).nbytes
        try:
            view = memoryview(data).cast("B")
            while self.error is None and written < length:
                written += self.file.write(view[written:]) or 0
        except BaseException as error:  # Ctrl-C too
            self.error = error
        return length

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of `path` when the block ends.

    The bytes go to a temporary neighbour, reach the disk, and only then get the final name; a reader
    therefore sees the old file or the new one, never half of either. If the block raises, the neighbour is
    removed and an existing file stays as it was. What killed writers of the same file left is removed too. Missing
    parent folders are made.

    Raises:
        OSError: the folder cannot be made or written; the message carries the path.
    """
    target, before = Path(path), sys.exc_info()[1]
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, target.name)
    with naming(target), own_neighbour(target) as temporary:
        with open(temporary, "wb", buffering=0) as raw:
            file = _Remembering(raw)
            try:
                yield cast(BinaryIO, file)
            except Exception as error:
                if file.error is not None:
                    raise file.error from error
                if (stop := _interruption(error, before)) is not None:
                    raise stop from error
                raise
            if file.error is not None:
                raise file.error
            os.fsync(raw.fileno())
        os.replace(temporary, target)
    sync_folder(target.parent)


def _interruption(error: BaseException, before: BaseException | None) -> BaseException | None:
    """Return the Ctrl-C or exit that an error hides; PyTorch's writer, interrupted, ends with an error of its own.

    Args:
        before: what was being handled when the writing began, which this error does not hide.
    """
    found = error.__context__
    while found is not None and found is not before:
        if not isinstance(found, Exception):
            return found
        found = found.__context__
    return None


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Give an error of the system in this block the name of a file where it has none."""
    try:
        yield
    except OSError as error:
        if error.errno and not error.filename:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def atomic_write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` as UTF-8, atomically.

    What is no character (half of a surrogate pair, a byte of a file name that is no UTF-8) becomes `\\udc80`, which is
    how JSON spells it.
    """
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))


def atomic_write_json(path: str | os.PathLike, obj: Any) -> None:
    """Write `obj` as indented JSON, atomically, keys in their order. NaN and infinity raise ValueError."""
    atomic_write_text(path, json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sync_folder(folder: str | os.PathLike) -> None:
    """Make a rename inside `folder` survive a power cut, where the platform can open folders (POSIX)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open a folder; there the rename is already as durable as it gets
        return
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse to sync a folder
            os.fsync(handle)
    finally:
        os.close(handle)
