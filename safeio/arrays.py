"""Reader of `.npz` archives that allocates no more memory than the file holds, whatever sizes its arrays claim."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from safeio.archive_limits import refuse_bomb

READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Versions of the format of numpy's arrays -> reader of their head."""


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the arrays of a `.npz` by name. Nothing is unpickled.

    Raises:
        Exception: of almost any kind, if the file is damaged or an array claims another size than it has.
    """
    refuse_bomb(path)
    with zipfile.ZipFile(Path(path)) as archive:
        for member in archive.infolist():
            _refuse_claims(archive, member)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _refuse_claims(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Compare the shape that an array names with the bytes that there are, before numpy makes room for it."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in READERS:
            raise ValueError(f"{member.filename} is of a version of numpy's format that is not read, {version}")
        shape, _, dtype = READERS[version](file)
        claimed = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or claimed != member.file_size - file.tell():
            raise ValueError(f"{member.filename} says that it has {claimed:,} bytes, which it has not")
