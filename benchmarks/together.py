"""Compare ways to train several runs on one device with training one run after the other.

    python benchmarks/together.py --method MMRL --runs 3 --classes 50 --batch 4 --device cuda --prec amp

The ways are: one pass through the frozen encoders (`--seeds`); a warm process for each run; the same under NVIDIA's
MPS, if nvidia-cuda-mps-control is installed; and a stream for each run in one process. All start from the same
parameters and are measured in turn. The benchmark prints a Markdown table:

- milliseconds of a step of all runs (on a CPU summed over threads and processes), and the ratio to one after the other;
- the largest differences of loss and gradients at the start; a gradient's is relative to the largest element of its
  tensor;
- the difference of the learned parameters after the first steps: its norm, relative to the norm of their change;
- the seconds of the first steps;
- for ways of one process, the peak memory in MiB beyond what stays allocated between steps.

Weights are random, class names are ImageNet's. On a GPU, steps come from CUDA graphs, as in `train.py`. If a way needs
something that this machine lacks, its row gives the reason; if one fails, its row gives the error, and the exit status
is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import add_run, at_least, command, fails_with_a_row, markdown, run


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    add_run(parser, batch=4)
    parser.add_argument("--runs", type=at_least(1), default=3, help="number of runs (default: 3)")
    parser.add_argument("--repeats", type=at_least(1), default=5, help="measurements of each way (default: 5)")
    parser.add_argument("--steps", type=at_least(1), help="steps of a measurement (default: 10 on a GPU, 1 on a CPU)")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import torch

from benchmarks._measure import FIRST_STEPS, hardware, in_turn, median_ms, moved_apart, peak_memory
from benchmarks._several_runs import Apart, Way, as_tensors, ways
from benchmarks._trainers import class_names, random_weights
from benchmarks.step import differences
from dassl.utils.environment import prepare_cpu_memory

COLUMNS = {
    "ms": "ms",
    "ratio": "ratio",
    "loss_difference": "loss differs",
    "gradient_difference": "gradients differ",
    "learned_difference": "learned differs",
    "first_s": "first, s",
    "peak_mib": "peak, MiB",
    "why": "",
}
"""Heads of the table by the names of results."""


def begin(way: Way, count: int) -> dict[str, Any]:
    """Return a way's gradients at the start, what it learns in its first steps, and their seconds."""
    start = [as_tensors(of_run) for of_run in way.of_each("learned")]
    gradients = [(loss, as_tensors(of_run)) for loss, of_run in way.of_each("gradients")]
    began = time.perf_counter()
    way.steps(count)
    first = time.perf_counter() - began
    return {
        "start": start,
        "gradients": gradients,
        "learned": [as_tensors(of_run) for of_run in way.of_each("learned")],
        "first_s": first,
    }


def compared(own: dict[str, Any], plain: dict[str, Any]) -> dict[str, float]:
    """Return the largest differences of any run."""
    found = [differences(*pair) for pair in zip(plain["gradients"], own["gradients"], strict=True)]
    largest = {key: max(of_run[key] for of_run in found) for key in found[0]}
    runs = zip(plain["start"], plain["learned"], own["learned"], strict=True)
    return largest | {"learned_difference": max(moved_apart(*of_run) for of_run in runs)}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Print the table; return its numbers."""
    device, results = torch.device(args.device), {}
    args.names = class_names(args.classes)
    args.steps = args.steps or (10 if device.type == "cuda" else 1)
    with tempfile.TemporaryDirectory() as folder:
        weights = random_weights(args.backbone, Path(folder))
        (name, make), *others = ways(args.device).items()
        plain = make(args, weights)
        begun = begin(plain, FIRST_STEPS[device.type])
        results[name] = {"first_s": begun["first_s"], "peak_mib": peak_memory(partial(plain.steps, 1), device)}
        for name, make in others:
            results[name] = {"why": make} if isinstance(make, str) else one(args, make, weights, plain, begun)
    first = next(iter(results.values()))
    first["ms"] = next((found["plain_ms"] for found in results.values() if "plain_ms" in found), None)
    rows = [[name, *(found.get(key) for key in COLUMNS)] for name, found in results.items()]
    print(markdown(rows, ["way", *COLUMNS.values()]), end="\n\n")
    result = {name: getattr(args, name) for name in ("method", "backbone", "classes", "batch", "runs", "prec")}
    result |= {f"{name}: {key}": value for name, found in results.items() for key, value in found.items()}
    return result | hardware(device)


def one(args: argparse.Namespace, make: Any, weights: Path, plain: Way, begun: dict[str, Any]) -> dict[str, Any]:
    """Measure a way in turn with the plain one; return `why` alone if it fails."""
    device, way = torch.device(args.device), None
    try:
        way = make(args, weights)
        own = begin(way, FIRST_STEPS[device.type])
        both = {"plain": partial(plain.steps, args.steps), "own": partial(way.steps, args.steps)}
        turns = in_turn(both, args.repeats, device, 0)
        seconds = {name: found.cpu if device.type == "cpu" else found.clock for name, found in turns.items()}
        before, now = (median_ms(seconds[name]) / args.steps for name in ("plain", "own"))
        found = {"ms": now, "plain_ms": before, "ratio": before / now, "first_s": own["first_s"]}
        if isinstance(way, Apart):
            found["peak_mib"] = peak_memory(partial(way.steps, 1), device)
        return found | compared(own, begun)
    except Exception as error:  # one that does not work here leaves the others' rows
        return {"failed": True, "why": f"failed: {(str(error).strip() or type(error).__name__).splitlines()[0]}"}
    finally:
        if way is not None:
            way.close()


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    prepare_cpu_memory()  # as train.py does
    return run(make_parser(), measure, fails_with_a_row)


if __name__ == "__main__":
    raise SystemExit(main())
