"""Steps of several runs in one pass, against the same steps one run after the other: one process, in turn.

    python benchmarks/together.py --method MMRL --runs 3 --classes 100 --batch 4 --backbone ViT-B/16

Weights are random, class names are ImageNet's; every run has start values and a batch of its own. Both variants are
the product's, on a GPU from CUDA graphs: what is measured is what `--seeds` saves.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from safeio import threads  # noqa: F401, I001  (before torch)

import torch

from benchmarks._command import add_run, at_least, command, run
from benchmarks._measure import hardware, in_turn, medians, peak_memory
from benchmarks._trainers import build_trainer, check_learns, class_names, random_weights
from benchmarks.step import step
from dassl.utils.environment import prepare_cpu_memory
from trainers.base.frozen_clip import one_copy_of_weights
from trainers.steps.joint_runs import JointPass, WaitingStep
from trainers.steps.lockstep import in_lockstep


def measure(args: argparse.Namespace) -> dict:
    """Both variants."""
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as folder, one_copy_of_weights():
        weights, names = random_weights(args.backbone, Path(folder)), class_names(args.classes)
        runs = [build_trainer(args, weights, names) for _ in range(args.runs)]
    side = runs[0].method.clip.visual.input_resolution
    batches = []
    for number, trainer in enumerate(runs):
        torch.manual_seed(number)
        images = torch.randn(args.batch, 3, side, side, device=device)
        batches.append((images, torch.randint(args.classes, (args.batch,), device=device)))
        check_learns(trainer)
        trainer.set_model_mode("train")
    steps = [partial(step, trainer, *batch) for trainer, batch in zip(runs, batches, strict=True)]

    computers, joint_pass = [trainer.computer for trainer in runs], JointPass()

    def apart() -> None:
        for trainer, computer, one in zip(runs, computers, steps, strict=True):
            trainer.computer = computer
            one()

    def together() -> None:
        for trainer in runs:
            trainer.computer = WaitingStep()
        in_lockstep(steps, joint_pass)

    variants = {"apart": apart, "together": together}
    found = in_turn(variants, args.repeats, device)
    result = {name: getattr(args, name) for name in ("method", "backbone", "classes", "batch", "runs", "prec")}
    result |= medians(found, device)
    result |= {f"{name}_peak_mib": peak_memory(compute, device) for name, compute in variants.items()}
    result["ratio"] = result["apart_ms"] / result["together_ms"]
    if device.type == "cpu":
        result["cpu_ratio"] = result["apart_cpu_ms"] / result["together_cpu_ms"]
    return result | hardware(device)


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    prepare_cpu_memory()  # as train.py does
    parser = command(__doc__)
    add_run(parser, batch=4)
    parser.add_argument("--runs", type=at_least(1), default=3)
    parser.add_argument("--repeats", type=at_least(1), default=5)
    return run(parser, measure)


if __name__ == "__main__":
    raise SystemExit(main())
