"""Compare a training step of MMRL with one that takes its frozen layers from memory.

    python benchmarks/frozen_layers.py --classes 50 --batch 4 --backbone ViT-B/16 --device cpu

The image encoder's layers below the first token and the whole frozen target depend on the augmented image alone, and
the runs of a sweep that have the same seed draw the same augmented images. So such runs could share these layers; the
benchmark gives an upper bound of what that would save. It computes both once and takes them from memory in every step;
keeping and reading them costs nothing here. It prints the medians, their ratio, and the MiB to keep for an image.
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
    parser.add_argument(
        "--repeats", type=at_least(1), default=1, help="turns of each way, of three timed steps each (default: 1)"
    )
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import torch

from benchmarks._measure import MIB, hardware, in_turn, medians
from benchmarks._trainers import build_trainer, class_names, leave_start, random_weights
from benchmarks.step import loss_and_gradients, step
from dassl.utils.environment import prepare_cpu_memory
from safeio.errors import UserError
from trainers.mmrl import MMRLMethod


def read_frozen(trainer, images: torch.Tensor) -> int:
    """Compute the frozen layers' outputs of these images for all later steps; return their bytes."""
    method, visual = trainer.method, trainer.method.clip.visual
    with torch.no_grad(), trainer.precision.context():
        below = method.forward_below_tokens(images)
        target = visual.forward_from(below)
    continued = visual.forward_from
    method.forward_below_tokens = lambda images: below
    visual.forward_from = lambda paused, *with_tokens: continued(paused, *with_tokens) if with_tokens else target
    return below.states.nbytes + target.nbytes


def measure(args: argparse.Namespace) -> dict:
    """Measure both steps on the same weights and images."""
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as folder:
        weights, names = random_weights(args.backbone, Path(folder)), class_names(args.classes)
        whole, reading = (build_trainer(args, weights, names) for _ in range(2))
    if not isinstance(whole.method, MMRLMethod):
        raise UserError(f"{args.method} is no MMRL: its frozen layers are elsewhere")
    side = whole.method.clip.visual.input_resolution
    torch.manual_seed(1)
    images = torch.randn(args.batch, 3, side, side, device=device)
    labels = torch.randint(args.classes, (args.batch,), device=device)
    for trainer in (whole, reading):
        leave_start(trainer)
        trainer.set_model_mode("train")
    kept = read_frozen(reading, images) / args.batch / MIB
    (loss, gradients), (own, other) = (loss_and_gradients(trainer, images, labels) for trainer in (whole, reading))
    same = loss == own and all(map(torch.equal, gradients, other))
    steps = {"whole": partial(step, whole, images, labels), "reading": partial(step, reading, images, labels)}
    result = {name: getattr(args, name) for name in ("method", "backbone", "classes", "batch", "prec")}
    result |= {"identical": same, "mib_of_a_view": kept} | medians(in_turn(steps, args.repeats, device, 0), device)
    kind = "_cpu_ms" if device.type == "cpu" else "_ms"
    return result | {"ratio": result[f"whole{kind}"] / result[f"reading{kind}"]} | hardware(device)


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    prepare_cpu_memory()  # as train.py does
    return run(make_parser(), measure)


if __name__ == "__main__":
    raise SystemExit(main())
