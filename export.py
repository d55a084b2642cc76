"""A trained run as a file for other programs.

python export.py RUN_DIR --format onnx [--output FILE] [--classes names.txt]    adapted image encoder and class matrix
python export.py RUN_DIR --format torch ...                                     the same, for torch.export.load
python export.py RUN_DIR --format torchscript ...                               the same, for torch.jit.load and C++
python export.py RUN_DIR --format safetensors ...                               learned parameters and a model card

See docs/predict.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from inference.classes import read_classes
from inference.predictor import Predictor

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "torchscript": ".pt", "safetensors": ".safetensors"}
MISSING = "ONNX needs a package that is not installed: pip install -r requirements-export.txt"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("run", metavar="RUN_DIR", help="folder of the run that trained")
    parser.add_argument("--format", required=True, choices=SUFFIXES)
    parser.add_argument("--output", type=Path, help="the file (RUN_DIR/export/METHOD.SUFFIX)")
    parser.add_argument("--classes", metavar="FILE", help="class names of a program, one per line; trained or new")
    parser.add_argument("--backbone", help="weights of the CLIP, if they are not where the run found them")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = make_parser().parse_args(arguments)
    try:
        from inference.export.model_card import write_learned
        from inference.export.programs import write_program

        classes = read_classes(args.classes) if args.classes else None
        predictor = Predictor.load(args.run, classes, device="cpu", backbone=args.backbone, precision="fp32")
        suffix = SUFFIXES[args.format]
        path = args.output or Path(args.run) / "export" / f"{predictor.run.record['method']}{suffix}"
        if path.suffix != suffix:
            raise ValueError(f"--output is {path}; a file of --format {args.format} ends in {suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        told = (write_learned if suffix == ".safetensors" else write_program)(predictor, path)
        print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)\n{told}")
    except ModuleNotFoundError as error:
        print(f"error: {MISSING} ({error})", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
