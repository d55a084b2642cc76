"""Readers of untrusted files: whole files with drawn edits within a memory limit, and those that once broke one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from clip.weights import WeightsError, state_dict_from
from safeio.arrays import read_arrays

PROJECT = Path(__file__).parent.parent.parent
EXAMPLES = 60

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="limits memory as Linux does")


def test_edited_files_are_read_or_named_in_little_memory(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("fuzz_readers.py")), str(tmp_path), str(EXAMPLES)]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(PROJECT)}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 11


def npz(head: str, data: bytes) -> bytes:
    """An archive of one array with this head."""
    text = head.encode() + b" " * (-(len(head) + 11) % 64) + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data)
    return file.getvalue()


FLOATS = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,)}"
CLAIMS = {
    "more than there is": npz(FLOATS % 10**11, bytes(8)),
    "less than there is": npz(FLOATS % 1, bytes(8)),
    "many axes of none": npz(FLOATS % ", ".join(["10000000"] * 8), b""),
    "below nothing": npz(FLOATS % -2, bytes(8)),
    "objects": npz("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)),
    "a wide type": npz("{'descr': '|V2147483647', 'fortran_order': False, 'shape': (1,)}", bytes(8)),
    "a long head": npz("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)," + " " * 30_000 + "}", bytes(8)),
    "no program": npz("__import__('os').system('true')", b""),
}


@pytest.mark.parametrize("content", CLAIMS.values(), ids=CLAIMS)
def test_arrays_that_claim_another_size_than_they_have(tmp_path, content):
    (tmp_path / "weights.npz").write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.npz .* cannot be read as weights"):
        state_dict_from(tmp_path / "weights.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whole_archives_are_read(tmp_path, save):
    arrays = {"a": np.ones((2, 3), np.float16), "b": np.zeros(0), "c": np.asfortranarray(np.eye(3)), "d": np.array(7)}
    save(tmp_path / "a.npz", **arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert all(np.array_equal(found[name], value) for name, value in arrays.items())
