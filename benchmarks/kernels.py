"""Compare ways to make a training step of fewer, larger kernels, each alone, with the present step.

    python benchmarks/kernels.py --method MMRL --classes 50 --batch 4 --device cuda --prec amp

Both steps run in one process, in turn. The benchmark prints a Markdown table with a row for each candidate of
`_candidates.py`:

- milliseconds of a step (on a CPU summed over the threads), those of the present step, and their ratio;
- the largest differences of loss and gradients at the same parameters; a gradient's is relative to the largest element
  of its tensor;
- the difference of the learned parameters after a few steps: its norm, relative to the norm of their change;
- the seconds of the candidate's first steps, in which it compiles and records.

The last row is the way from uint8 crops to a normalised batch on the device. Weights are random, class names are
ImageNet's. If a candidate needs something that this machine lacks, its row gives the reason; if one fails, its row
gives the error, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import add_run, at_least, command, fails_with_a_row, markdown, run


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    add_run(parser, batch=4)
    parser.add_argument(
        "--repeats", type=at_least(1), default=3, help="turns of each way, of three timed steps each (default: 3)"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="CANDIDATE", help="measure these rows of the table only; names in quotes"
    )
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import torch
from torch import Tensor
from torchvision import transforms as T

from benchmarks._candidates import CANDIDATES, Candidate, Step
from benchmarks._measure import FIRST_STEPS, hardware, in_turn, median_ms, moved_apart, synchronise
from benchmarks._trainers import build_trainer, check_learns, class_names, leave_start, random_weights
from benchmarks.step import differences, loss_and_gradients, step
from clip.preprocess import MEAN, STD
from dassl.utils.environment import prepare_cpu_memory
from safeio.errors import UserError
from trainers.base.trainer import ClipTrainer

CROPS = "uint8 batch"
ROWS = (*CANDIDATES, CROPS)
COLUMNS = {
    "ms": "ms",
    "present_ms": "present, ms",
    "ratio": "ratio",
    "loss_difference": "loss differs",
    "gradient_difference": "gradients differ",
    "learned_difference": "learned differs",
    "first_s": "first, s",
    "why": "",
}
"""Heads of the table by the names of results."""


def both(args: argparse.Namespace, candidate: Candidate, build: Callable[[], ClipTrainer]) -> dict[str, Any]:
    """Measure a candidate and the present step; return `why` alone if the candidate cannot run here."""
    device = torch.device(args.device)
    with candidate.building():
        changed = build()
    if reason := candidate.lacking(changed):
        return {"why": reason}
    present = build()
    images, labels = batch(args, present)
    change = candidate.change(changed)
    steps: dict[str, Step] = {"present": lambda *given: step(present, *given), "candidate": change}
    trainers = {"present": present, "candidate": changed}
    found = differences(*(loss_and_gradients(trainers[name], images, labels) for name in steps))
    start, first = learned(present), {}
    for name, compute in steps.items():
        began = time.perf_counter()
        for _ in range(FIRST_STEPS[device.type]):
            compute(images, labels)
        synchronise(device)
        first[name] = time.perf_counter() - began
    found["learned_difference"] = moved_apart(start, learned(present), learned(changed))
    turns = in_turn({name: lambda go=go: go(images, labels) for name, go in steps.items()}, args.repeats, device, 0)
    return found | times(turns, device) | {"first_s": first["candidate"]}


def times(turns: dict[str, Any], device: torch.device) -> dict[str, float]:
    """Return the medians, on a CPU summed over all threads, and their ratio."""
    own, other = (
        median_ms(turns[name].cpu if device.type == "cpu" else turns[name].clock) for name in ("candidate", "present")
    )
    return {"ms": own, "present_ms": other, "ratio": other / own}


def batch(args: argparse.Namespace, trainer: ClipTrainer) -> tuple[Tensor, Tensor]:
    """Return random images and labels on the device."""
    side = trainer.method.clip.visual.input_resolution
    torch.manual_seed(1)
    images = torch.randn(args.batch, 3, side, side, device=args.device)
    return images, torch.randint(args.classes, (args.batch,), device=args.device)


def learned(trainer: ClipTrainer) -> list[Tensor]:
    """Return copies of the learned parameters."""
    return [parameter.detach().float().clone() for parameter in trainer.method.parameters()]


def crops(args: argparse.Namespace) -> dict[str, Any]:
    """Measure both ways from uint8 crops (S, S, 3) to a batch: normalise each, then move; move, then normalise."""
    device, generator = torch.device(args.device), torch.Generator().manual_seed(0)
    held = [torch.randint(256, (224, 224, 3), dtype=torch.uint8, generator=generator) for _ in range(args.batch)]
    arrays, finish = [crop.numpy() for crop in held], T.Compose([T.ToTensor(), T.Normalize(MEAN, STD)])
    mean, std = (torch.tensor(value, device=device).view(3, 1, 1) for value in (MEAN, STD))

    def moved(images: Tensor) -> Tensor:
        return images.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else images

    def present() -> Tensor:
        return moved(torch.stack([finish(array) for array in arrays]))

    def candidate() -> Tensor:
        images = moved(torch.stack([torch.from_numpy(array) for array in arrays])).permute(0, 3, 1, 2)
        images = images.to(torch.float32, memory_format=torch.contiguous_format)
        return images.div_(255).sub_(mean).div_(std)

    found = {"loss_difference": (present() - candidate()).abs().max().item()}
    turns = in_turn({"present": present, "candidate": candidate}, args.repeats, device)
    return found | times(turns, device) | {"why": "no step: the batch alone, with its own difference"}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Print the table; return its numbers."""
    wanted, results = args.only or ROWS, {}
    if unknown := [name for name in wanted if name not in ROWS]:
        raise UserError(f"there is no candidate {unknown[0]!r}; they are {', '.join(ROWS)}")
    with tempfile.TemporaryDirectory() as folder:
        weights, names = random_weights(args.backbone, Path(folder)), class_names(args.classes)

        def build() -> ClipTrainer:
            trainer = build_trainer(args, weights, names)
            check_learns(trainer)
            leave_start(trainer)
            trainer.set_model_mode("train")
            return trainer

        build()  # a mistake in the command ends here
        for name in wanted:
            try:
                results[name] = crops(args) if name == CROPS else both(args, CANDIDATES[name], build)
            except Exception as error:  # one that does not work here leaves the others' rows
                said = str(error).strip() or type(error).__name__
                results[name] = {"failed": True, "why": f"failed: {said.splitlines()[0]}"}
            torch.compiler.reset()
    print(table(results), end="\n\n")
    result = {name: getattr(args, name) for name in ("method", "backbone", "classes", "batch", "prec")}
    result |= {f"{name}: {key}": value for name, found in results.items() for key, value in found.items()}
    return result | hardware(torch.device(args.device))


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the results as Markdown, with the candidates' descriptions below."""
    rows = [[name, *(found.get(key) for key in COLUMNS)] for name, found in results.items()]
    about = [f"{name}: {CANDIDATES[name].about}" for name in results if name in CANDIDATES]
    return "\n".join([markdown(rows, ["candidate", *COLUMNS.values()]), "", *about])


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    prepare_cpu_memory()  # as train.py does
    return run(make_parser(), measure, fails_with_a_row)


if __name__ == "__main__":
    raise SystemExit(main())
