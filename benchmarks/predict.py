"""Compare predicting one image, from file to class names, with running the bare image encoder.

    python benchmarks/predict.py --method MMRL --classes 100 --backbone ViT-B/16

The image is a JPEG of 500 x 375 pixels; weights are random; both run in one process, in turn. The benchmark prints the
medians and their ratio. The exit status is 1 if the ratio is not below `--limit`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._command import add_method, at_least, command, run


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = command(__doc__)
    add_method(parser)
    parser.add_argument("--repeats", type=at_least(1), default=20, help="predictions to measure (default: 20)")
    parser.add_argument("--limit", type=float, default=3.0, help="largest ratio without exit status 1 (default: 3)")
    parser.set_defaults(device="cpu", prec="fp32", options=[])
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import numpy as np
import torch
from PIL import Image

from benchmarks._measure import hardware, in_turn, median_ms
from benchmarks._trainers import build_trainer, class_names, random_weights
from inference.predictor import Predictor
from runs.record import RunRecord


def untrained_run(args: argparse.Namespace, folder: Path) -> Path:
    """Write the folder of a run with the method's start values, and return it."""
    names = class_names(args.classes)
    trainer = build_trainer(args, random_weights(args.backbone, folder), names)
    if trainer.get_model_names():
        trainer.save_model(0, folder)
    RunRecord(folder, {"method": args.method, "config": trainer.cfg}).complete({}, classes=names)
    return folder


def photo(folder: Path) -> Path:
    """Write a JPEG of coarse noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (47, 63, 3), dtype=np.uint8)
    file = folder / "photo.jpg"
    Image.fromarray(pixels).resize((500, 375)).save(file)
    return file


def measure(args: argparse.Namespace) -> dict:
    """Measure the prediction and the bare encoder."""
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), photo(Path(name))
        predictor = Predictor.load(untrained_run(args, folder), device="cpu")
        encoder = predictor.clip.visual
        image = torch.randn(1, 3, encoder.input_resolution, encoder.input_resolution)

        @torch.no_grad()
        def bare() -> None:
            encoder(image)

        both = {"encoder": bare, "predict": lambda: predictor.predict(file)}
        seconds = in_turn(both, args.repeats, torch.device("cpu"))
    result = {name: getattr(args, name) for name in ("method", "backbone", "classes")}
    result |= {f"{name}_ms": median_ms(s.clock) for name, s in seconds.items()}
    return result | {"ratio": result["predict_ms"] / result["encoder_ms"]} | hardware(torch.device("cpu"))


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    return run(make_parser(), measure, lambda args, result: 0 if result["ratio"] < args.limit else 1)


if __name__ == "__main__":
    raise SystemExit(main())
