"""MATLAB files: those that SciPy writes are read as it reads them; none takes more memory than its size justifies."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from safeio.matlab import DEEPEST, UNPACKED, read_mat
from safeio.read_back import DamagedFile

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
CELL, STRUCTURE = 1, 2


def written(variables: dict, **options) -> bytes:
    file = io.BytesIO()
    savemat(file, variables, **options)
    return file.getvalue()


def nested(depth: int) -> np.ndarray:
    """An array of one array of one array, and so on."""
    inner = np.ones(2)
    for _ in range(depth):
        outer = np.empty((1, 1), object)
        outer[0, 0] = inner
        inner = outer
    return inner


VARIABLES = {
    "labels": np.arange(3000, dtype=np.uint8)[None],
    "names": np.array(["a", "a longer name", "\u00e9"], object),
    "annotations": np.array([("a.jpg", 3), ("b.jpg", 4)], [("fname", object), ("class", object)]),
    "nothing": np.empty((0, 0)),
    "cells in cells": nested(5),
    "zeros": np.zeros((100, 100)),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_files_of_scipy_are_read_as_it_reads_them(tmp_path, compressed):
    content = written(VARIABLES, do_compression=compressed)
    (tmp_path / "a.mat").write_bytes(content)
    assert len(content) > 500
    found, wanted = read_mat(tmp_path / "a.mat"), loadmat(io.BytesIO(content))
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert repr(found[name]) == repr(wanted[name])


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def array(kind: int, rows: int, columns: int, content: bytes = b"") -> bytes:
    """A matrix of this class and size."""
    flags, sizes = element(6, struct.pack("<II", kind, 0)), element(5, struct.pack("<ii", rows, columns))
    return element(14, flags + sizes + element(1, b"a") + content)


def packed(content: bytes) -> bytes:
    content = zlib.compress(content)
    return struct.pack("<II", 15, len(content)) + content


def deep(levels: int) -> bytes:
    return array(CELL, 1, 1, deep(levels - 1)) if levels else array(6, 0, 0)


BOMBS = {
    "zeros": (packed(array(6, 1, 1, element(9, bytes(UNPACKED)))), r"unpack to over 17 MB"),
    "zeros in two elements": (2 * packed(array(6, 1, 1, element(9, bytes(UNPACKED // 2)))), r"unpack to over 17 MB"),
    "cells": (array(CELL, 1, 1 << 27), r"134,217,728 arrays in"),
    "structures": (packed(array(STRUCTURE, 1 << 15, 1 << 15)), r"1,073,741,824 arrays in"),
    "cells in a cell": (array(CELL, 1, 1, array(CELL, 1 << 30, 1)), r"1,073,741,824 arrays in"),
    "a long element": (struct.pack("<II", 14, (1 << 32) - 1) + bytes(64), r"claims to have 4,294,967,295 bytes"),
    "a long name": (element(14, struct.pack("<II", 1, 1 << 31)), r"claims to have 2,147,483,648 bytes"),
    "deep": (deep(DEEPEST + 1), r"arrays within arrays"),
}


@pytest.mark.parametrize(("content", "reason"), BOMBS.values(), ids=BOMBS)
def test_files_that_claim_more_than_they_have(tmp_path, content, reason):
    (tmp_path / "a.mat").write_bytes(HEADER + content)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedFile, match=rf"a\.mat .*cannot be read as a MATLAB file: .*{reason}"):
            read_mat(tmp_path / "a.mat")
        assert tracemalloc.get_traced_memory()[1] < 4 * UNPACKED
    finally:
        tracemalloc.stop()


OTHERS = {
    "4": written({"zeros": np.zeros((2, 2))}, format="4"),
    "7.3": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(64),
    "none": b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x00\x01I" + bytes(64),
    "5 with a beginning as of 4": b"MAT\0" + HEADER[4:] + bytes(64),
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_a_file_of_another_version_is_named(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DamagedFile, match=r"a\.mat .*cannot be read as a MATLAB file: it is not of version 5 to 7"):
        read_mat(tmp_path / "a.mat")
