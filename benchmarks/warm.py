"""Prove that runs forked from a warm process equal runs in processes of their own, and print what each way costs.

    python benchmarks/warm.py --runs 20

As in a sweep, one warm process forks the runs of several methods and seeds (`runs/sweep/fork_server.py`), and a Python
process of its own repeats each run, on generated images of four classes and the embedded CLIP. The benchmark compares
parameters, metrics, calibration and settings. Forked runs exist on Linux only.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import at_least, command, run


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    parser.add_argument("--runs", type=at_least(1), default=20, help="number of runs (default: 20)")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import numpy as np
from PIL import Image

from runs.record import load_record
from runs.sweep.local import LocalExecutor
from runs.sweep.process import PROJECT, TRAIN, start

METHODS = ("MMRL", "CoOp", "MMRLpp", "MaPLe", "ZeroshotCLIP", "TipAdapter", "CoCoOp", "KgCoOp", "TaskRes", "PromptSRC")
CLASSES, IMAGES = ("accordion", "camera", "dolphin", "piano"), 8
Do = Callable[[list[str], Path], "int | None"]
"""Does a run, from its arguments and folder; returns its exit status."""
SAME = ("status", "metrics", "parameters_sha256", "calibration", "classes", "config", "origins", "trainable_params")


def make_images(root: Path) -> None:
    """Write a folder of images for each class, each of a colour of its own with noise."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        colour = rng.integers(0, 200, 3)
        for number in range(IMAGES):
            pixels = (colour + rng.integers(0, 56, (80, 80, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")


def words(method: str, seed: int, root: Path, folder: Path) -> list[str]:
    """Return the arguments of Python for a run."""
    files = {"--config-file": f"trainers/{method}/photo.yaml", "--dataset-config-file": "datasets/folder.yaml"}
    given = [word for flag, file in files.items() for word in (flag, str(PROJECT / "configs" / file))]
    given += ["--root", str(root), "--trainer", method, "--seed", str(seed), "--output-dir", str(folder)]
    return [*TRAIN, *given, "--train-epoch", "1", "DATASET.NUM_SHOTS=2", "DATALOADER.CACHE=False"]


def done(runs: int, root: Path, folder: Path, do: Do) -> list[dict[str, Any]]:
    """Do all runs one after the other; return the compared fields of their records."""
    found = []
    for number in range(runs):
        place = folder / str(number)
        if do(words(METHODS[number % len(METHODS)], 1 + number // len(METHODS), root, place), place):
            raise RuntimeError((place / "console.txt").read_text(encoding="utf-8"))
        record = load_record(place)
        found.append({key: record[key] for key in SAME})
    return found


@contextmanager
def forked() -> Iterator[Do]:
    """Yield a function that does a run as a fork of one warm process."""
    executor = LocalExecutor()
    try:
        yield lambda arguments, folder: executor.submit(arguments, folder).result()
    finally:
        executor.close()


@contextmanager
def started() -> Iterator[Do]:
    """Yield a function that does a run in a process of its own."""
    yield lambda arguments, folder: start(arguments, folder).wait()


def processor_seconds() -> float:
    """Return the processor seconds of all child processes that have ended, and of their children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(args: Any) -> dict:
    """Measure both ways, one after the other, in folders of the same name."""
    found, seconds = {}, {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        make_images(place / "images")
        for way, do in {"one warm process": forked(), "own processes": started()}.items():
            before = processor_seconds()
            with do as each:
                found[way] = done(args.runs, place / "images", place / "runs", each)
            seconds[f"processor seconds, {way}"] = processor_seconds() - before
            (place / "runs").rename(place / way)
    same = sum(one == other for one, other in zip(*found.values(), strict=True))
    return {"runs": args.runs, "identical": same} | seconds


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    return run(make_parser(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
