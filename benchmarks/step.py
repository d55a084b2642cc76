"""Compare a training step of this harness with the plain computation, on the same weights and the same batch.

    python benchmarks/step.py --method MMRL --classes 200 --batch 4 --backbone ViT-B/16 --device cpu

Both run in one process, in turn. The plain step is the published code's: prompts of full length go through every layer,
the frozen image encoder and the tuned one run separately, all rows are computed to the end, attention is PyTorch's
multi-head attention with positions first, and glibc frees memory as it does by default. `--plain own` takes our blocks
and our memory settings, so that only what we leave out makes the difference. Weights are random, class names are
ImageNet's.

The benchmark prints the medians, their ratio, the operations of each in 10^9, the peak memory of each beyond the
weights, and by how much loss and gradients differ. `--only product` measures where the plain step does not fit into
memory; `--side text` measures the class features alone, forward and backward. On a busy machine `cpu_ratio`, the ratio
of the seconds of all threads, says more than the clock; threads wait as in the commands (`safeio/threads.py`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import add_run, at_least, command, run


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    add_run(parser, batch=4)
    repeats = "turns of each; a turn is three steps after an untimed one"
    parser.add_argument("--repeats", type=at_least(1), default=3, help=repeats)
    parser.add_argument(
        "--side", choices=["step", "text"], default="step", help="measure the whole step, or the text features alone"
    )
    parser.add_argument(
        "--plain", choices=["published", "own"], default="published", help="blocks of the plain computation"
    )
    parser.add_argument("--only", choices=["plain", "product"], help="measure one of the two")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import torch

from benchmarks._measure import gflop, hardware, in_turn, medians, peak_memory
from benchmarks._trainers import (
    build_trainer,
    check_learns,
    class_names,
    leave_start,
    make_plain,
    make_published,
    random_weights,
)
from dassl.utils.environment import KEPT_WHEN_FREED, keep_freed_memory, prepare_cpu_memory
from safeio.errors import UserError
from trainers.steps.plain import PlainStep

GLIBC_KEEPS = 64 * 2**20
"""Bytes of freed memory in one piece, once glibc has set its thresholds by the large chunks that were freed."""


def step(trainer, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Do a training step: forward, backward, optimiser. It moves the parameters: compare losses before."""
    trainer.optim.zero_grad()
    trainer.backward_and_step(trainer.losses(images, labels))


def text_side(trainer, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Compute class features forward and backward, without the optimiser.

    Raises:
        UserError: a method that learns nothing there, or whose class features depend on the images.
    """
    trainer.optim.zero_grad()
    with trainer.precision.context():
        features = trainer.method.class_features()
        if features is None or not features.requires_grad:
            raise UserError(f"{trainer.cfg.TRAINER.NAME} has no text side that learns by itself: --side step")
        features.square().sum().backward()


def loss_and_gradients(trainer, images, labels) -> tuple[float, list[torch.Tensor]]:
    """Return loss and gradients of one batch at the start values."""
    trainer.optim.zero_grad()
    losses = trainer.losses(images, labels)
    trainer.method.backward(losses)
    return losses.total().item(), [p.grad.float().clone() for p in trainer.method.parameters() if p.grad is not None]


def differences(plain, product) -> dict[str, float]:
    """Return the differences of loss (absolute) and gradients (relative to the largest element of each tensor)."""
    pairs = zip(plain[1], product[1], strict=True)
    relative = [((a - b).abs().max() / a.abs().max().clamp(min=1e-12)).item() for a, b in pairs]
    return {"loss_difference": abs(plain[0] - product[0]), "gradient_difference": max(relative)}


def measure(args: argparse.Namespace) -> dict:
    """Measure both steps, or the one asked for."""
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as folder:
        weights, names = random_weights(args.backbone, Path(folder)), class_names(args.classes)
        chosen = [args.only] if args.only else ["plain", "product"]
        built = {variant: build_trainer(args, weights, names) for variant in chosen}
    if "plain" in built:
        {"published": make_published, "own": make_plain}[args.plain](built["plain"])
    kept = {"product": KEPT_WHEN_FREED, "plain": GLIBC_KEEPS if args.plain == "published" else KEPT_WHEN_FREED}
    side = next(iter(built.values())).method.clip.visual.input_resolution
    torch.manual_seed(1)
    images = torch.randn(args.batch, 3, side, side, device=device)
    labels = torch.randint(args.classes, (args.batch,), device=device)
    for trainer in built.values():
        check_learns(trainer)
        leave_start(trainer)
        trainer.set_model_mode("train")
    result = {name: getattr(args, name) for name in ("method", "backbone", "classes", "batch", "prec", "side")}
    if len(built) == 2:
        result |= differences(*(loss_and_gradients(built[v], images, labels) for v in ("plain", "product")))
    compute = {"step": step, "text": text_side}[args.side]

    def computation(variant: str) -> None:
        keep_freed_memory(kept[variant])
        compute(built[variant], images, labels)

    steps = {variant: partial(computation, variant) for variant in built}
    for variant, trainer in built.items():
        trainer.computer, own = PlainStep(), trainer.computer  # in a graph there is nothing to be counted
        result[f"{variant}_gflop"] = gflop(steps[variant])
        trainer.computer = own
        result[f"{variant}_peak_mib"] = peak_memory(steps[variant], device)
    warm_up = 0 if device.type == "cpu" else None  # a CPU is warm by now
    result |= medians(in_turn(steps, args.repeats, device, warm_up), device)
    result |= {f"{variant}_tflop_per_second": result[f"{variant}_gflop"] / result[f"{variant}_ms"] for variant in steps}
    if len(built) == 2:
        result["gflop_ratio"] = result["plain_gflop"] / result["product_gflop"]
        if device.type == "cpu":
            result["cpu_ratio"] = result["plain_cpu_ms"] / result["product_cpu_ms"]
        result["ratio"] = result["plain_ms"] / result["product_ms"]
    return result | hardware(device)


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    prepare_cpu_memory()  # as train.py does
    return run(make_parser(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
