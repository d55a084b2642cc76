"""Progress: a live line on a terminal, a line now and then elsewhere, no control characters in files."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from PIL import Image

from safeio import progress as module
from safeio.progress import NowAndThen, progress

PROJECT = Path(__file__).parents[2]
STEPS = """
import sys, time
sys.path.insert(0, {project!r})
from safeio import progress
progress.EVERY = {every}
for _ in progress.progress(range(20), "images", unit={unit!r}): time.sleep(0.02)
print("done")
"""


def code(every: float, unit: str = "it") -> list[str]:
    return [sys.executable, "-c", STEPS.format(project=str(PROJECT), every=every, unit=unit)]


def on_a_terminal(command, columns: int = 140, **options) -> str:
    """Return what a command shows on a pseudo-terminal."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    process = subprocess.Popen(command, stdout=its, stderr=its, stdin=subprocess.DEVNULL, **options)
    os.close(its)
    shown = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux's end of file
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(120) == 0, shown.decode()
    return shown.decode()


def test_a_terminal_has_one_live_line_with_the_time_left():
    shown = on_a_terminal(code(30))
    states = [state for state in shown.split("\r") if "images" in state]
    assert len(states) > 2 and all(re.search(r"\d+/20, \d\d:\d\d left|0/20, \? left", state) for state in states)
    assert shown.replace("\r", "").strip(" \n").endswith("done") and shown.count("\n") == 1  # it leaves nothing behind


def test_a_terminal_without_a_size_has_lines():
    shown = on_a_terminal(code(0.1), columns=0)
    assert re.search(r"^images: \d+ of 20, \d\d:\d\d left\r$", shown, re.M) and shown.endswith("done\r\n")


@pytest.mark.parametrize(("every", "lines"), [(30, 0), (0.15, (1, 4))])
def test_a_file_has_a_line_now_and_then(every, lines, tmp_path):
    with open(tmp_path / "out.txt", "w+") as file:
        assert subprocess.run(code(every), stdout=file, stderr=file).returncode == 0
        file.seek(0)
        found = file.read()
    assert "\r" not in found and "\x1b" not in found
    states = [line for line in found.splitlines() if line != "done"]
    assert len(states) == 0 if lines == 0 else lines[0] <= len(states) <= lines[1]
    assert all(re.fullmatch(r"images: \d+ of 20, \d\d:\d\d left", state) for state in states)


def test_what_has_no_known_end_and_what_has_no_stderr(capsys, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)
    assert list(progress(iter(range(3)), "reading")) == [0, 1, 2]
    assert re.search(r"reading: \d so far", capsys.readouterr().err)
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress(range(3), "reading")) == [0, 1, 2]


def test_now_and_then(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    line = NowAndThen()
    assert line.due() and not line.due()
    now[0] += module.EVERY
    assert line.due()


TRAIN = "train CoOp folder --backbone photo-ViT-8 --shots 4 OPTIM.MAX_EPOCH=2 DATALOADER.TRAIN_X.BATCH_SIZE=2"


def test_a_training_on_a_terminal_and_into_a_file(tmp_path):
    """4 steps an epoch: the live line spans the training; a file gets the first line and where to look."""
    for index in range(16):
        file = tmp_path / "images" / f"class {index % 2}" / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (100 * (index % 2), index, 0)).save(file)
    words = [sys.executable, "-m", "mmrl", *TRAIN.split(), "USE_CUDA=False", "--root", str(tmp_path / "images")]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "CROP_CACHE": str(tmp_path / "crops")}
    shown = on_a_terminal([*words, "--output", str(tmp_path / "terminal")], cwd=PROJECT, env=quiet)
    assert re.search(r"epoch 2/2: .*\d/8, \S+ left", shown) and re.search(r"test: .*left", shown)
    assert "epoch [" not in shown and "accuracy" in shown
    done = subprocess.run(
        [*words, "--output", str(tmp_path / "file")], cwd=PROJECT, env=quiet, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (log,) = (tmp_path / "file").rglob("log.txt")
    said = [line for line in done.stdout.splitlines() if line.startswith("epoch [")]
    assert len(said) == 1 and said[0].endswith(f"(every line: {log})") and "eta" in said[0]
    assert sum(line.startswith("epoch [") for line in log.read_text().splitlines()) == 2  # one an epoch
    assert not {"\r", "\x1b"} & set(done.stdout + done.stderr + log.read_text())
