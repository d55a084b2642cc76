"""Disks that take no more: a message with the file, nothing half written, and afterwards the same result."""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from short_runs import Runs

import predict
import report
import train
from inference.commands import export, visualize
from runs.record import read_record
from safeio import atomic
from safeio.atomic import atomic_write
from safeio.entry import command
from tools.faults.failing_file import FailingFile

resource = pytest.importorskip("resource", reason="limits the size of files as POSIX does")


@pytest.fixture(scope="module")
def short(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("short"))


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes: EFBIG, as on a quota."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def trained(short: Runs, output: Path) -> int:
    return train.main(short.arguments("CoOp", "all", output, "TRAIN.TRACK", "()"))


@pytest.mark.parametrize("size", [0, 2_000, 6_000, 9_000])
def test_a_training_that_may_write_little(size, short, tmp_path, capsys):
    """The lock's file, the record, the log, a checkpoint."""
    with files_up_to(size):
        assert trained(short, tmp_path / "run") in (1, 2)
    said = capsys.readouterr().err
    last = said.strip().splitlines()[-1]
    assert last.startswith("error: ") and "File too large" in last and str(tmp_path) in last
    assert "Traceback" not in said and not list(tmp_path.rglob("*.tmp"))
    assert trained(short, tmp_path / "run") == 0
    wanted = read_record(short("CoOp", "all", "TRAIN.TRACK", "()"))["parameters_sha256"]
    assert read_record(tmp_path / "run")["parameters_sha256"] == wanted


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("nth", [1, 2, 5, 12, 20])
def test_the_nth_write_fails(nth, number, short, tmp_path, monkeypatch, capsys):
    wanted = read_record(short("CoOp", "all", "TRAIN.TRACK", "()"))["parameters_sha256"]
    with monkeypatch.context() as patch:
        FailingFile.left, FailingFile.number = nth, number
        opener = builtins.open
        patch.setattr(atomic, "open", lambda *words, **more: FailingFile(opener(*words, **more)), False)
        status = trained(short, tmp_path / "run")
    said = capsys.readouterr().err
    assert FailingFile.left < 0, "a training writes more often"
    assert status in (1, 2) and "error: " in said and os.strerror(number) in said
    assert "Traceback" not in said and not list(tmp_path.rglob("*.tmp"))
    assert trained(short, tmp_path / "run") == 0
    assert read_record(tmp_path / "run")["parameters_sha256"] == wanted


def test_pytorchs_writer_does_not_end_the_process(tmp_path):
    """It would, where a write fails and closing it writes once more."""
    (tmp_path / "old").write_bytes(b"old")
    with pytest.raises(OSError, match="File too large"), files_up_to(3_000), atomic_write(tmp_path / "old") as file:
        torch.save({str(i): torch.ones(200) for i in range(20)}, file)
    assert (tmp_path / "old").read_bytes() == b"old" and len(os.listdir(tmp_path)) == 1


WRITERS = {
    "predict --csv": lambda run, images, to: predict.main([run, images, "--csv", to]),
    "report": lambda run, images, to: report.main([str(Path(run).parent), "--format", "csv", "--out", to]),
    "report html": lambda run, images, to: report.main([str(Path(run).parent), "--format", "html", "--out", to]),
    "export torch": lambda run, images, to: export.main([run, "--format", "torch", "--output", f"{to}.pt2"]),
    "export torchscript": lambda run, images, to: export.main([run, "--format", "torchscript", "--output", f"{to}.pt"]),
    "export safetensors": lambda run, images, to: export.main(
        [run, "--format", "safetensors", "--output", f"{to}.safetensors"]
    ),
    "export hub-folder": lambda run, images, to: export.main([run, "--format", "hub-folder", "--output", to]),
    "visualize": lambda run, images, to: visualize.main([run, images, "--output", to]),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_results_that_do_not_fit_are_not_there(writer, short, tmp_path, capsys):
    run = str(short("CoOp", "all", "TRAIN.TRACK", "()"))
    with files_up_to(50):
        assert writer(run, str(short.images), str(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "error: " in said and "File too large" in said and str(tmp_path / "out") in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_thread_that_cannot_write_says_so_in_one_line(capsys):
    import threading

    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "curves")

    @command
    def main() -> int:
        thread = threading.Thread(target=full)
        thread.start()
        thread.join()
        return 0

    assert main() == 0
    said = capsys.readouterr().err
    assert said == "error: [Errno 28] No space left on device: 'curves'\n"
