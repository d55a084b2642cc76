"""Short real trainings as processes, for tools/inject_faults.py to hurt; and disks that can be."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from runs.record import COMPLETE, read_record
from tools.faults.tiny import SIDE, write_clip, write_images

HERE = Path(__file__).parent.parent.parent
SETTINGS = {
    "DATASET.NAME": "Folder",
    "DATASET.SUBSAMPLE_CLASSES": "all",
    "INPUT.SIZE": (SIDE, SIDE),
    "INPUT.TRANSFORMS": ("random_flip", "normalize"),
    "DATALOADER.NUM_WORKERS": 2,
    "DATALOADER.TRAIN_X.BATCH_SIZE": 3,
    "OPTIM.MAX_EPOCH": 6,
    "TRAIN.CHECKPOINT_STEPS": 1,
    "TRAIN.CHECKPOINT_FREQ": 2,
    "TRAIN.PRINT_FREQ": 1,
    "TRAINER.COOP.PREC": "fp32",
}
TESTING = "Evaluate on the"
STARTED, PATIENCE, DISK = "epoch [", 1200.0, "24m"  # seconds: a busy machine is slow


END_OF_OUTPUT = 1200
"""Characters of a run's output that a fault shows."""


class Fault(RuntimeError):
    """Something else happened than what was to."""


class Row(NamedTuple):
    """A line of the table: what was injected, how many times, what the run did, runs that ended differently."""

    injected: str
    times: int
    outcome: str
    lost: int


class Bench:
    """Starts runs below a folder and knows how an unharmed one ends.

    Args:
        project: the code that is run: this, or another revision's.
    """

    def __init__(self, folder: Path, seed: int, project: Path = HERE):
        self.folder, self.dice, self.project, self.made = folder, random.Random(seed), project, 0
        self.images, self.clip = folder / "images", folder / "clip.pt"
        write_images(self.images)
        write_clip(self.clip)
        began = time.monotonic()
        self.wanted = self.finish(self.new())
        self.seconds = time.monotonic() - began

    def new(self) -> Path:
        self.made += 1
        return self.folder / f"run{self.made}"

    def words(self, output: Path, *more: Any) -> list[str]:
        """Arguments of train.py."""
        words = ["--trainer", "CoOp", "--seed", "1", "--root", self.images, "--output-dir", output]
        words += ["MODEL.BACKBONE.NAME", self.clip, *(word for pair in SETTINGS.items() for word in pair), *more]
        return [str(word) for word in words]

    def start(
        self,
        output: Path,
        code: str = "",
        words: Sequence[str] | None = None,
        launcher: Sequence[str] = (),
        before: Sequence[str] = (),
        **how: Any,
    ) -> subprocess.Popen:
        """The training as a process.

        Args:
            code: runs in place of train.py; launcher: comes before train.py; before: comes before Python.
            words: its arguments, if they are others; how: for `subprocess.Popen`.
        """
        output.parent.mkdir(parents=True, exist_ok=True)
        said = open(self.said(output), "a", encoding="utf-8")  # noqa: SIM115 - the process keeps it
        own = {"CROP_CACHE": str(self.folder / "crops"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        how = {"env": os.environ | own, "cwd": self.project} | how
        command = [*before, sys.executable, *(["-c", code] if code else [*launcher, "train.py"])]
        arguments = self.words(output) if words is None else words
        with said:
            return subprocess.Popen([*command, *arguments], stdout=said, stderr=said, **how)

    def said(self, output: Path) -> Path:
        """Return the output of all processes of a run, kept off the damaged disk."""
        return self.folder / f"{output.name}.said"

    def training(self, output: Path, process: subprocess.Popen, line: str = STARTED) -> None:
        """Wait until this process trains (its log has a line of an epoch), or has printed another line."""
        printed = self.said(output).read_text(encoding="utf-8").count(line)
        wait_for(lambda: process.poll() is not None or self.said(output).read_text().count(line) > printed)

    def half_done(self, output: Path, epoch: int = 3, words: Sequence[str] | None = None) -> None:
        """Train a run into an epoch and kill it: in the third it has left every kind of file."""
        process, log, line = self.start(output, words=words), output / "log.txt", f"epoch [{epoch}/"
        wait_for(lambda: process.poll() is not None or (log.is_file() and line in log.read_text()), 0.02)
        process.kill()
        if process.wait(PATIENCE) == 0:
            raise Fault("the run was complete before it could be killed")

    def finish(self, output: Path, **how: Any) -> str:
        """Start the run once more, wait for its end, and return the checksum of its parameters."""
        status = self.start(output, **how).wait(PATIENCE)
        if status:
            end = self.said(output).read_text(encoding="utf-8")[-END_OF_OUTPUT:]
            raise Fault(f"{output} ended with {status}: ... {end}")
        return (read_record(output) or {})["parameters_sha256"]

    def lost(self, output: Path) -> int:
        """1 if the run, finished now, does not end as the unharmed one did."""
        return int(self.finish(output) != self.wanted)


def wait_for(true: Callable[[], bool], pause: float = 0.005) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise Fault("it did not come to what was waited for")
        time.sleep(pause)


def expect(
    bench: Bench,
    output: Path,
    process: subprocess.Popen,
    statuses: set[int],
    *words: str,
    within: float = PATIENCE,
) -> int:
    """Wait until the process ends with one of these statuses, having said these words and shown no traceback."""
    try:
        status, said = process.wait(within), bench.said(output).read_text(encoding="utf-8")
    except subprocess.TimeoutExpired:
        process.kill()
        raise Fault(f"nothing was said within {within:.0f} s, wanted: {words}") from None
    missing = [word for word in words if word not in said]
    if "Traceback" in said:
        raise Fault(f"a traceback: {said[said.index('Traceback') :][:END_OF_OUTPUT]}")
    if status not in statuses or missing:
        raise Fault(f"status {status} instead of {statuses}, not said {missing}: ... {said[-END_OF_OUTPUT:]}")
    return status


def done(output: Path) -> bool:
    return (read_record(output) or {}).get("status") == COMPLETE


@contextlib.contextmanager
def small_disk(bench: Bench) -> Iterator[Path]:
    """A file system of its own for one run's folder."""
    place = bench.folder / f"disk{bench.made}"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
