"""Rows of numbers in memory-mapped files of the user's cache folder, so that expensive results are computed once.

A file ("pack") holds one row for each image of a list, each with a checksum. Its name is a digest of everything that
could change a row, every image's path, size and time of change among it. Runs that use a pack at the same time fill it
together; a row is read only if its checksum fits, so a cut or damaged file costs time, never a wrong number. All packs
together stay within a limit: those that were not used for longest go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dassl.data.datasets.base_dataset import Datum
from safeio.packed_images import container_of
from safeio.user_folders import user_cache

GIB = 2**30
FOLDER_VARIABLE = "CROP_CACHE"
HALF_MADE, HALF_MADE_SECONDS = ".making", 600
NEVER_WRITTEN = 0
"""Checksum of a row that was never written."""


def cache_folder() -> Path:
    """Return the folder of the packs: the one that CROP_CACHE names, else the user's cache folder."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    return user_cache() / "few-shot-crops"


class RowPack:
    """Rows (N, *shape) of one number type in a file.

    Args:
        path: the file; made by `reserve`.
        count: N; shape, dtype: of a row.

    Attributes:
        damaged: number of rows that were asked for and had changed since they were written.
    """

    def __init__(self, path: Path, count: int, shape: Sequence[int], dtype: type):
        self.path, self.count, self.shape, self.dtype = path, count, tuple(shape), np.dtype(dtype)
        self._maps: tuple[np.memmap, np.memmap] | None = None
        self.damaged = 0

    @property
    def bytes(self) -> int:
        """Size of the whole file: checksums, then rows."""
        return self.count * (4 + int(np.prod(self.shape)) * self.dtype.itemsize)

    def reserve(self) -> None:
        """Make the file if it is not there, its space set aside, so that a full disk shows now and not later.

        Raises:
            OSError: no space, or a folder that cannot be written.
        """
        if self.path.is_file() and self.path.stat().st_size == self.bytes:
            os.utime(self.path)  # what is used stays longest
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half_made = self.path.with_suffix(f".{os.getpid()}{HALF_MADE}")
        try:
            with open(half_made, "wb") as file:
                _set_aside(file.fileno(), self.bytes)
            os.replace(half_made, self.path)
        finally:
            half_made.unlink(missing_ok=True)

    def read(self, index: int) -> np.ndarray | None:
        """Return row `index`, None if it is not there or damaged."""
        if (maps := self._mapped()) is None:
            return None
        checksums, rows = maps
        row = np.array(rows[index])
        if checksums[index] == _checksum(row):
            return row
        self.damaged += checksums[index] != NEVER_WRITTEN
        return None

    def write(self, index: int, row: np.ndarray) -> None:
        """Keep a row, where there still is a file for it; its checksum goes last."""
        if (maps := self._mapped()) is None:
            return
        checksums, rows = maps
        rows[index] = row
        checksums[index] = _checksum(row)

    def _mapped(self) -> tuple[np.memmap, np.memmap] | None:
        """Checksums and rows; None if the file is gone, which another run's need of room may have brought about."""
        if self._maps is None:
            try:
                with open(self.path, "r+b") as file:
                    if os.fstat(file.fileno()).st_size != self.bytes:
                        return None
                    checksums = np.memmap(file, np.uint32, "r+", 0, (self.count,))
                    rows = np.memmap(file, self.dtype, "r+", 4 * self.count, (self.count, *self.shape))
            except OSError:
                return None
            self._maps = checksums, rows
        return self._maps

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": None}  # each process maps the file itself


def open_pack(pack: RowPack, limit: int) -> RowPack:
    """Reserve a pack after making room for it within `limit` bytes.

    Raises:
        OSError: it alone is over the limit, or the disk has no room for it.
    """
    make_room(pack.path.parent, pack.path.name, pack.bytes, limit)
    pack.reserve()
    return pack


def digest(data_source: Sequence[Datum], *about: Any) -> str:
    """Return a name for rows that depend on these images, as they are on disk, and on `about` (plain values)."""
    content = list(about)
    for datum in data_source:
        stat = os.stat(container_of(datum.impath))
        content.append([os.path.abspath(datum.impath), stat.st_size, stat.st_mtime_ns])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def make_room(folder: Path, name: str, needed: int, limit: int) -> None:
    """Remove the packs that were not used for longest until `needed` bytes more stay within `limit`.

    Raises:
        OSError: the pack alone is over the limit, or the disk has no room for it.
    """
    if needed > limit:
        raise OSError(
            f"they would take {needed / GIB:.1f} GiB, the limit DATALOADER.CACHE_DISK_GIB is {limit / GIB:.1f}"
        )
    if not folder.is_dir() or (folder / name).is_file():
        return
    remove_half_made(folder)
    packs = sorted(_packs(folder))
    held = sum(size for _, _, size in packs)
    for _, path, size in packs:
        if held + needed <= limit:
            break
        held -= size
        path.unlink(missing_ok=True)  # runs that have it mapped keep it until they end, others decode again
    free = shutil.disk_usage(folder).free
    if needed > free - GIB:
        raise OSError(f"they would take {needed / GIB:.1f} GiB, the disk has {free / GIB:.1f} GiB left")


def remove_half_made(folder: Path) -> None:
    """Remove packs that a killed run left half made: making one takes seconds."""
    for path in folder.glob(f"*{HALF_MADE}"):
        with contextlib.suppress(OSError):  # another run removed it, or it is another user's
            if time.time() - path.stat().st_mtime > HALF_MADE_SECONDS:
                path.unlink()


def _packs(folder: Path) -> Iterator[tuple[float, Path, int]]:
    """Yield the time of last use, the path and the size in bytes of each pack."""
    for path in (path for kind in ("crops", "features", HALF_MADE[1:]) for path in folder.glob(f"*.{kind}")):
        with contextlib.suppress(FileNotFoundError):  # another run made room meanwhile
            stat = path.stat()
            yield stat.st_mtime, path, stat.st_size


def _checksum(row: np.ndarray) -> int:
    return zlib.crc32(row) or NEVER_WRITTEN + 1


def _set_aside(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
