"""MATLAB files, read within memory that their size justifies.

A file of version 5 to 7 is a list of elements: 4 bytes of type, 4 of length, then the content. A compressed element
unpacks to one other. SciPy unpacks it whole, and makes room for a cell or structure array by its dimensions alone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from safeio.archive_limits import Disproportion
from safeio.read_back import read_back

UNPACKED, RATIO = 1 << 24, 20
"""Bytes, or times its size, that a file may unpack to; the annotations of StanfordCars, the largest, need some 3 MB."""
DEEPEST = 32
"""Arrays within arrays; SciPy reads them by recursion."""
HEADER = 128
MATRIX, COMPRESSED = 14, 15
Order = Literal["little", "big"]
OF_ARRAYS = (1, 2, 3)
"""Classes whose items are arrays: cell, structure, object."""


def read_mat(path: Path) -> dict[str, Any]:
    """Variables of a MATLAB file by their name.

    Raises:
        DamagedFile: it is no such file, or it claims to have more than its size justifies.
    """
    return read_back(path, _read, what="a MATLAB file")


def _read(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # slow to import, and needed only where a split file is missing

    _refuse_bomb(path.read_bytes())
    with open(path, "rb") as file:
        return loadmat(file)


def _refuse_bomb(content: bytes) -> None:
    """Raise Disproportion if reading these bytes of a file needs more memory than they justify.

    Raises:
        ValueError: it is of another version, such as 4, or 7.3, which is HDF5.
    """
    if 0 in content[:4] or content[124:HEADER] not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise ValueError("it is not of version 5 to 7")
    order: Order = "little" if content.endswith(b"IM", 0, HEADER) else "big"
    room = max(UNPACKED, RATIO * len(content))
    for kind, element in _elements(memoryview(content)[HEADER:], order):
        if kind == COMPRESSED:
            unpacked = zlib.decompressobj().decompress(element, room)
            room -= len(unpacked)
            if room <= 0:
                raise Disproportion(f"it would unpack to over {max(UNPACKED, RATIO * len(content)) / 1e6:.0f} MB")
            for inner, matrix in _elements(memoryview(unpacked), order):
                _check_sizes(inner, matrix, order)
        else:
            _check_sizes(kind, element, order)


def _check_sizes(kind: int, element: memoryview, order: Order, depth: int = 1) -> None:
    """Raise Disproportion if an array of arrays, at any depth, has more items than bytes for their heads."""
    if kind != MATRIX:
        return
    if depth > DEEPEST:
        raise Disproportion(f"it has arrays within arrays, {DEEPEST} deep")
    of_arrays = False
    for place, (inner, field) in enumerate(_elements(element, order)):
        if place == 0:
            of_arrays = int.from_bytes(field[:4], order) & 0xFF in OF_ARRAYS
        elif place == 1 and of_arrays:
            count = math.prod(int.from_bytes(field[at : at + 4], order, signed=True) for at in range(0, len(field), 4))
            if count * 8 > len(element):
                raise Disproportion(f"it claims to have {count:,} arrays in {len(element):,} bytes")
        _check_sizes(inner, field, order, depth + 1)


def _elements(content: memoryview, order: Order) -> Iterator[tuple[int, memoryview]]:
    """Give type and content of each element; one of at most 4 bytes may stand within its own head."""
    at = 0
    while at + 8 <= len(content):
        kind = int.from_bytes(content[at : at + 4], order)
        if kind >> 16:  # the upper half is the length
            yield kind & 0xFFFF, content[at + 4 : at + 4 + min(kind >> 16, 4)]
            at += 8
            continue
        length = int.from_bytes(content[at + 4 : at + 8], order)
        if length > len(content) - at - 8:  # SciPy makes room before it reads
            raise Disproportion(f"an element claims to have {length:,} bytes, {len(content) - at - 8:,} are left")
        yield kind, content[at + 8 : at + 8 + length]
        at += 8 + length + (-length % 8 if kind != COMPRESSED else 0)
