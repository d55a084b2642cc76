"""Compute the seconds of whole tables of results from measured times of a training step and of testing an image.

    python benchmarks/cost.py --device "NVIDIA H200" --methods MMRL MaPLe

The measured times are those of parts.json, made with step.py and eval.py. Epochs, batches and shots are the published
ones of configs/; the numbers of images and classes come from datasets/facts.csv. A step costs what was measured at its
batch size; between two measured numbers of classes the cost is interpolated, outside them the nearest one counts. The
first seed decodes the test images, the other seeds find the crops in the cache. The start of each run is left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import command, run

PARTS = Path(__file__).with_name("parts.json")
PROTOCOLS = ("base2new", "few_shot", "cross_dataset", "domain_generalization")


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    parser.add_argument(
        "--device",
        default="NVIDIA H200",
        choices=json.loads(PARTS.read_text(encoding="utf-8")),
        help="measured machine",
    )
    parser.add_argument("--methods", nargs="+", default=[], help="methods (default: all that were measured)")
    parser.add_argument("--protocols", nargs="+", default=PROTOCOLS, choices=PROTOCOLS, help="default: all")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import numpy as np

import train
from runs.protocol import CONFIGS, PlannedRun
from runs.sweep.plan import Request, expand


@cache
def facts() -> dict[str, dict[str, int]]:
    """Return numbers of classes and images by the datasets' names in configs/datasets."""
    with open(CONFIGS.parent / "datasets" / "facts.csv", encoding="utf-8", newline="") as file:
        return {row["config"]: {k: int(v) for k, v in row.items() if v.isdecimal()} for row in csv.DictReader(file)}


def size(run: PlannedRun) -> tuple[int, int]:
    """Return a run's number of classes and of test images."""
    of, part = facts()[run.dataset], run.options["DATASET.SUBSAMPLE_CLASSES"]
    return (of["classes"], of["test"]) if part == "all" else (of[f"{part}_classes"], of[f"{part}_test"])


@cache
def epochs_and_batch(trainer: str, dataset: str, cfg: str, options: tuple[str, ...]) -> tuple[int, int]:
    """Return the epochs and the batch size of a training run with these settings."""
    one = PlannedRun(trainer, dataset, 1, cfg, "run", None, {})
    settings = train.settings_of_run(train.parse([*one.arguments(Path("output"), "data", options)])).cfg
    return settings.OPTIM.MAX_EPOCH, settings.DATALOADER.TRAIN_X.BATCH_SIZE


def steps(run: PlannedRun) -> tuple[int, int, int]:
    """Return a training run's number of steps, its batch size and its number of classes."""
    shots, (classes, _) = run.options["DATASET.NUM_SHOTS"], size(run)
    options = tuple(str(word) for pair in run.options.items() for word in pair)
    epochs, batch = epochs_and_batch(run.trainer, run.dataset, run.cfg, options)
    return epochs * max(1, shots * classes // batch), batch, classes


def step_ms(measured: Sequence[Sequence[float]], batch: int, classes: int) -> float | None:
    """Return a step's milliseconds; None if nothing was measured at its batch size."""
    of_batch = sorted((n, ms) for at, n, ms in measured if at == batch)
    return float(np.interp(classes, *zip(*of_batch, strict=True))) if of_batch else None


def cost(runs: Sequence[PlannedRun], parts: dict[str, Any]) -> dict[str, Any]:
    """Return steps, tested images and seconds of these runs; no seconds where a part was not measured."""
    first = min(run.seed for run in runs)
    images = sum(size(run)[1] for run in runs)
    decoding, reading = parts["images_per_second"]
    testing = sum(size(run)[1] / (decoding if run.seed == first else reading) for run in runs)
    taken = [steps(run) for run in runs if run.model_folder is None]
    each = [step_ms(parts["step_ms"].get(runs[0].trainer, []), batch, classes) for _, batch, classes in taken]
    training = None if None in each else sum(n * ms / 1000 for (n, _, _), ms in zip(taken, each, strict=True))
    seconds = None if training is None else training + testing
    tables = len({(run.dataset, run.seed) for run in runs})
    return {
        "runs": len(runs),
        "steps": sum(n for n, _, _ in taken),
        "tested images": images,
        "training, s": training,
        "testing, s": testing,
        "a dataset and seed, s": seconds and seconds / tables,
        "table, h": seconds and seconds / 3600,
    }


def measure(args: argparse.Namespace) -> dict:
    """Print a row for each method and protocol; return the hours."""
    from tabulate import tabulate

    parts = json.loads(PARTS.read_text(encoding="utf-8"))[args.device]
    rows = [
        {"method": method, "protocol": protocol} | cost(expand(Request(protocol, [method])), parts)
        for method in args.methods or parts["step_ms"]
        for protocol in args.protocols
    ]
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".1f", intfmt=",", missingval="-"))
    return {f"{row['method']} {row['protocol']} h": row["table, h"] for row in rows}


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    return run(make_parser(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
