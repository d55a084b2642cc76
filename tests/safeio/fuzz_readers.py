"""Every reader of untrusted files on whole files with drawn edits, within a memory limit.

    python tests/safeio/fuzz_readers.py FOLDER EXAMPLES

`tests/safeio/test_fuzzed_readers.py` runs it with few examples; give it many to search for more.
"""

from __future__ import annotations

import base64
import io
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from clip.weights import state_dict_from
from dassl.utils.checkpoint import load_checkpoint
from datasets.base.published_splits import read_foreign
from datasets.base.splits import read_split
from runs.record import load_record
from safeio.arrays import read_arrays
from safeio.errors import UserError
from safeio.images import read_image
from safeio.matlab import read_mat
from safeio.read_back import DamagedFile, read_back

BYTES, SECONDS = 1 << 28, 10.0
"""Memory beyond that of the imported libraries; time for one file."""
SPLIT = {part: [[f"{part}.png", 0, "a"], ["b.png", 1, "b"]] for part in ("train", "val", "test")}


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.w = torch.nn.Linear(2, 3), torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.inner(x + self.w)


def saved(save: Callable, *content) -> bytes:
    file = io.BytesIO()
    save(*content, file)
    return file.getvalue()


def whole_files() -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """Kind -> the bytes of a file that is read, and its reader."""
    state = {"state_dict": {"w": torch.ones(3), "b": torch.zeros(2, 2)}, "epoch": 1, "about": {"classes": ["a"]}}
    npz = io.BytesIO()
    np.savez(npz, a=np.ones(3, np.float32), b=np.zeros((2, 2), np.float16))
    png = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(png, "PNG")
    jpeg = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(jpeg, "JPEG")
    mat = io.BytesIO()
    cars = np.array([("a.jpg", 3)], [("fname", object), ("class", object)])
    savemat(mat, {"annotations": cars, "class_names": np.array(["AM General", "Audi"], object)}, do_compression=True)
    record = {"status": "complete", "metrics": {"accuracy": 1.5}, "classes": ["a"], "swept": {"A": [1]}}
    # As protocol 2 writes {"train": [Datum(...)]}, with a class that is never imported.
    choice = b"\x80\x02}X\x05\x00\x00\x00train](cd\nDatum\n)\x81}(X\x07\x00\x00\x00_impathX\x01\x00\x00\x00a"
    choice += b"X\x06\x00\x00\x00_labelK\x00X\x0a\x00\x00\x00_classnameX\x01\x00\x00\x00bubes."
    return {
        "checkpoint.pt": (saved(torch.save, state), load_checkpoint),
        "legacy.pt": (
            saved(lambda content, file: torch.save(content, file, _use_new_zipfile_serialization=False), state),
            load_checkpoint,
        ),
        "script.pt": (saved(torch.jit.save, torch.jit.script(Module())), state_dict_from),
        "weights.npz": (npz.getvalue(), lambda path: read_back(path, read_arrays)),
        "weights.safetensors": (safetensors.torch.save({"a": torch.ones(3)}), state_dict_from),
        "choice.pkl": (choice, lambda path: read_foreign(path.with_suffix(""), path.parent)),
        "run.json": (json.dumps(record).encode(), load_record),
        "split.json": (json.dumps(SPLIT).encode(), lambda path: read_split(path, path.parent)),
        "cars.mat": (mat.getvalue(), read_mat),
        "image.png": (png.getvalue(), read_image),
        "image.jpg": (jpeg.getvalue(), read_image),
    }


NUMBERS = st.sampled_from([0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 63) - 1])
PIECES = (
    st.binary(max_size=8)
    | st.tuples(NUMBERS, st.sampled_from([1, 2, 4, 8])).map(
        lambda pair: (pair[0] % (1 << 8 * pair[1])).to_bytes(pair[1], "little")
    )
    | st.sampled_from(
        [
            b"(",
            b")",
            b"[" * 500,
            b"9" * 400,
            b"}",
            b"\x94",
            b"r\xff\xff\xff\x1f",
            b"\x86q\x01",
            b"'shape': (9999999999,)",
        ]
    )
)
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), PIECES), min_size=1, max_size=6)
"""Edits: a place (fraction of the length), the number of bytes that go, the bytes that come."""


def edited(whole: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    content = bytearray(whole)
    for place, gone, piece in edits:
        start = int(place * len(content))
        content[start : start + gone] = piece
    return bytes(content)


def tried(read: Callable[[Path], object], path: Path, content: bytes) -> None:
    """Read, and raise AssertionError with the file where the answer is neither content nor an error for people."""
    path.write_bytes(content)
    began = time.monotonic()
    try:
        read(path)
    except (DamagedFile, UserError, FileNotFoundError) as error:
        problem = "MemoryError" if isinstance(error.__cause__, MemoryError) else "" if str(error) else "no message"
    except BaseException as error:
        problem = f"{type(error).__name__}: {error}"
    else:
        problem = ""
    if time.monotonic() - began > SECONDS:
        problem = "it takes too long"
    assert not problem, f"{path.name}: {problem}\n{base64.b85encode(content).decode()}"


def main(folder: Path, examples: int) -> int:
    warnings.simplefilter("ignore")
    for name in ("train", "val", "test", "b"):
        (folder / f"{name}.png").write_bytes(b"")
    files = whole_files()
    for kind, (whole, read) in files.items():
        tried(read, folder / kind, whole)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    limit = int(status["VmSize"].split()[0]) * 1024 + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for kind, (whole, read) in files.items():

        @settings(max_examples=examples, deadline=None, database=None, derandomize=examples < 1000,
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(EDITS)
        def search(edits):
            tried(read, folder / kind, edited(whole, edits))  # noqa: B023 - it is run here

        try:
            search()
        except AssertionError as found:
            print(f"{str(found)[:3000]}", file=sys.stderr)
            return 1
        print(kind, examples, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
