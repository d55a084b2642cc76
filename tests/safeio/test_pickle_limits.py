"""A few bytes of pickle cost neither gigabytes nor for ever: every reader is tried under limits on memory and time."""

from __future__ import annotations

import io
import pickle
import resource
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from safeio.pickle_limits import UnboundedPickle, check_pickle

PROJECT = Path(__file__).parent.parent.parent
SECONDS, BYTES = 60, 1 << 28
"""Processor time for all attacks together, and memory beyond that of the imported libraries."""
DOUBLED = b"".join(b"0h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(100))
"""From the value on the stack, which is at place 0 of the memo: a pair of it, a pair of that, a hundred times."""


ATTACKS = {
    "a far place in the memo": b"\x80\x02]r\xff\xff\xff\x1f.",
    "a far place in text": b"]p1000000000\n.",
    "a dictionary's key that doubles": b"\x80\x02}K\x01q\x00" + DOUBLED + b"Ns.",
    "a member that doubles": b"\x80\x04\x8f(K\x01q\x00" + DOUBLED + b"\x90.",
    "a value that doubles": b"\x80\x02K\x01q\x00" + DOUBLED + b".",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "lists filled from above": b"\x80\x02"
    + b"".join(b"]q" + bytes([i]) for i in range(60))
    + b"".join(b"h" + bytes([i]) + b"(h" + bytes([i + 1]) + b"h" + bytes([i + 1]) + b"e0" for i in range(59))
    + b".",
    "deep": b"\x80\x02" + b"]" * 5000 + b"a" * 4999 + b".",
    "a huge array": b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",
    "bytes that are not there": b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.",
    "an array by a call": b"\x80\x02c__builtin__\nbytearray\n\x8a\x06\xff\xff\xff\xff\xff\x00\x85R.",
    "a wide number": b"\x80\x02\x8b\x00\x10\x00\x00" + b"\x7f" * 4096 + b".",
    "five thousand digits": b"L" + b"9" * 5000 + b"L\n.",
    "marks": b"(" * 100_000,
    "no end": b"]" * 5000,
}


@pytest.mark.parametrize("stream", ATTACKS.values(), ids=ATTACKS)
def test_it_is_refused_before_any_of_it_is_followed(stream):
    if stream == ATTACKS["an array by a call"]:
        check_pickle(io.BytesIO(stream))  # `find_class` builds no bytearray
        return
    with pytest.raises(Exception):  # noqa: B017 - a damaged pickle raises anything
        check_pickle(io.BytesIO(stream))


READ_ALL = """
import pathlib, resource, sys
from datasets.base.published_splits import read_foreign
from safeio.read_back import DamagedFile
from safeio.torchscript import torchscript_weights
from safeio.unpickle import load_checkpoint_file

readers = {".pkl": lambda path: read_foreign(path.with_suffix(""), path.parent), ".ts": torchscript_weights}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = int(status["VmSize"].split()[0]) * 1024 + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        readers.get(file.suffix, load_checkpoint_file)(file)
        print(file.name, "read")
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, MemoryError) or not (isinstance(error, DamagedFile) or file.suffix == ".ts"):
            raise
        print(file.name, "refused", str(error))
"""


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def test_every_reader_survives_every_attack_in_little_memory_and_time(tmp_path):
    """As a bare few-shot choice, as a file of before zip, in an archive of torch.save and in one of TorchScript."""
    base = io.BytesIO()
    torch.save({"w": torch.ones(2)}, base)
    for number, stream in enumerate(ATTACKS.values()):
        (tmp_path / f"{number}.pkl").write_bytes(stream)
        head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
        (tmp_path / f"{number}.old").write_bytes(head + stream + pickle.dumps([], 2))
        for suffix, extra in ((".pt", {}), (".ts", {"archive/constants.pkl": b"\x80\x02).", "archive/code/a.py": b""})):
            with zipfile.ZipFile(tmp_path / f"{number}{suffix}", "w") as archive:
                archive.writestr("archive/data.pkl", stream)
                for name, content in extra.items():
                    archive.writestr(name, content)
    done = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(tmp_path), str(BYTES)],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, preexec_fn=limited,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == 4 * len(ATTACKS)
    assert not [line for line in done.stdout.splitlines() if line.split()[1] == "read"]


HARMLESS = [
    {"a": [1, 2.5, None, True, "x"], "b": (1, (2, 3)), 3: b"bytes"},
    OrderedDict(a=1, b=OrderedDict(c=2)),
    Counter({1: 2}),
    {(1, 2): "short tuple", None: 1},
    {1, 2, 3},
    [list(range(3000))] * 3,
    2**70,
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_checkpoints_hold_passes(protocol):
    for value in HARMLESS:
        file = io.BytesIO(pickle.dumps(value, protocol) + b"rest")
        check_pickle(file)
        assert file.read() == b"rest"


PLAIN = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text() | st.binary()
KEYS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner) | st.tuples(inner, inner))


@settings(max_examples=80, deadline=None)
@given(VALUES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_any_plain_value_passes(value, protocol):
    check_pickle(io.BytesIO(pickle.dumps(value, protocol)))


OPCODES = bytes(range(33, 127)) + bytes(range(0x80, 0x99))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(OPCODES) | st.integers(0, 255), max_size=60).map(bytes))
@example(b"(" * 50)
@example(b"h\x00.")
def test_any_bytes_end(stream):
    try:
        check_pickle(io.BytesIO(b"\x80\x02" + stream))
    except UnboundedPickle as error:
        assert str(error)
    except Exception:  # no pickle at all
        pass
