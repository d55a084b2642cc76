"""Steps of several runs in one pass, against the same steps one run after the other: one process, in turn.

    python benchmarks/together.py --method MMRL --runs 3 --classes 100 --batch 4 --backbone ViT-B/16

Weights are random, class names are ImageNet's; every run has start values and a batch of its own. Both variants are
the product's, on a GPU from CUDA graphs: what is measured is what `--seeds` saves.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

from benchmarks._measure import hardware, in_turn, medians, peak_memory
from benchmarks.step import SHAPES, build_trainer, class_names, random_weights, step
from dassl.engine.lockstep import in_lockstep
from dassl.utils.environment import prepare_cpu_memory
from trainers._frozen_clip import shared_weights
from trainers._together import OnePass, WaitingStep


def measure(args: argparse.Namespace) -> dict:
    """Both variants."""
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as folder, shared_weights():
        weights, names = random_weights(args.backbone, Path(folder)), class_names(args.classes)
        runs = [build_trainer(args, weights, names) for _ in range(args.runs)]
    side = runs[0].method.clip.visual.input_resolution
    batches = []
    for number, trainer in enumerate(runs):
        torch.manual_seed(number)
        images = torch.randn(args.batch, 3, side, side, device=device)
        batches.append((images, torch.randint(args.classes, (args.batch,), device=device)))
        trainer.set_model_mode("train")
    steps = [partial(step, trainer, *batch) for trainer, batch in zip(runs, batches, strict=True)]

    computers, one_pass = [trainer.computer for trainer in runs], OnePass()

    def apart() -> None:
        for trainer, computer, one in zip(runs, computers, steps, strict=True):
            trainer.computer = computer
            one()

    def together() -> None:
        for trainer in runs:
            trainer.computer = WaitingStep()
        in_lockstep(steps, one_pass)

    variants = {"apart": apart, "together": together}
    found = in_turn(variants, args.repeats, device)
    result = {name: getattr(args, name) for name in ("method", "backbone", "classes", "batch", "runs", "prec")}
    result |= medians(found, device)
    result |= {f"{name}_peak_mib": peak_memory(compute, device) for name, compute in variants.items()}
    result["ratio"] = result["apart_ms"] / result["together_ms"]
    if device.type == "cpu":
        result["cpu_ratio"] = result["apart_cpu_ms"] / result["together_cpu_ms"]
    return result | hardware(device)


def main() -> None:
    """Read the command line, measure, print and store."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--method", default="MMRL")
    parser.add_argument("--backbone", default="ViT-B/16", choices=SHAPES)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--prec", default="fp32", help="precision of the runs: fp32, amp, fp16, bf16")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("options", nargs="*", help="KEY VALUE pairs for the method's settings")
    args = parser.parse_args()
    prepare_cpu_memory()  # as train.py does
    result = measure(args)
    for name, value in result.items():
        print(f"{name:>20}: {value:.4g}" if isinstance(value, float) else f"{name:>20}: {value}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
