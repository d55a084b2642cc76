"""Short real trainings as processes, for tools/inject_faults.py to hurt; and disks that can be."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runs.record import COMPLETE, read_record

PROJECT = Path(__file__).parent.parent
CONFIGS = PROJECT / "configs"
SETTINGS = {
    "DATASET.NUM_SHOTS": 2,
    "DATASET.SUBSAMPLE_CLASSES": "base",
    "DATALOADER.NUM_WORKERS": 2,
    "DATALOADER.TRAIN_X.BATCH_SIZE": 4,
    "OPTIM.MAX_EPOCH": 6,
    "TRAIN.CHECKPOINT_STEPS": 1,
    "TRAIN.PRINT_FREQ": 1,
}
TESTING = "Evaluate on the"
STARTED, PATIENCE, DISK = "epoch [", 1200.0, "24m"  # seconds: a busy machine is slow


class Fault(RuntimeError):
    """Something else happened than what was to."""


class Bench:
    """Starts runs below a folder and knows how an unharmed one ends."""

    def __init__(self, folder: Path, seed: int):
        self.folder, self.dice, self.made = folder, random.Random(seed), 0
        began = time.monotonic()
        self.wanted = self.finish(self.new())
        self.seconds = time.monotonic() - began

    def new(self) -> Path:
        self.made += 1
        return self.folder / f"run{self.made}"

    def start(self, output: Path, code: str = "") -> subprocess.Popen:
        """The training as a process; `code` runs in place of train.py."""
        files = [str(CONFIGS / "datasets/openmoji.yaml"), str(CONFIGS / "trainers/CoOp/emoji.yaml")]
        words = ["--trainer", "CoOp", "--seed", "1", "--root", "none", "--output-dir", str(output)]
        words += ["--dataset-config-file", files[0], "--config-file", files[1]]
        words += [str(word) for pair in SETTINGS.items() for word in pair]
        output.parent.mkdir(parents=True, exist_ok=True)
        said = open(self.said(output), "a", encoding="utf-8")  # noqa: SIM115 - the process keeps it
        environment = os.environ | {"CROP_CACHE": str(self.folder / "crops"), "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-c", code] if code else [sys.executable, "train.py"]
        with said:
            return subprocess.Popen([*command, *words], cwd=PROJECT, env=environment, stdout=said, stderr=said)

    def said(self, output: Path) -> Path:
        """Return the output of all processes of a run, kept off the damaged disk."""
        return self.folder / f"{output.name}.said"

    def training(self, output: Path, process: subprocess.Popen, line: str = STARTED) -> None:
        """Wait until this process trains (its log has a line of an epoch), or has printed another line."""
        printed = self.said(output).read_text(encoding="utf-8").count(line)
        wait_for(lambda: process.poll() is not None or self.said(output).read_text().count(line) > printed)

    def finish(self, output: Path) -> str:
        """Start the run once more, wait for its end, and return the sum of its parameters."""
        status = self.start(output).wait(PATIENCE)
        if status:
            raise Fault(f"{output} ended with {status}:\n{self.said(output).read_text(encoding='utf-8')[-3000:]}")
        return read_record(output)["parameters_sha256"]

    def lost(self, output: Path) -> int:
        """1 if the run, finished now, does not end as the unharmed one did."""
        return int(self.finish(output) != self.wanted)


def wait_for(true: Callable[[], bool], pause: float = 0.005) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise Fault("it did not come to what was waited for")
        time.sleep(pause)


def expect(bench: Bench, output: Path, process: subprocess.Popen, statuses: set[int], *words: str) -> int:
    """Wait until the process ends with one of these statuses, having said these words; returns the status."""
    status, said = process.wait(PATIENCE), bench.said(output).read_text(encoding="utf-8")
    missing = [word for word in words if word not in said]
    if status not in statuses or missing:
        raise Fault(f"status {status} instead of {statuses}, not said {missing}:\n{said[-3000:]}")
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
