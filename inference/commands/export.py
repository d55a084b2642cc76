"""Export a trained run as a file for other programs.

mmrl export RUN_DIR --format onnx [--output FILE] [--classes names.txt]    adapted image encoder and class matrix
mmrl export RUN_DIR --format torch ...                                     the same, for torch.export.load
mmrl export RUN_DIR --format torchscript ...                               the same, for torch.jit.load and C++
mmrl export RUN_DIR --format safetensors ...                               learned parameters and a model card
mmrl export RUN_DIR --format hub-folder [--push USER/NAME]                 a folder for a model hub; mmrl.load reads it

See docs/predict.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runs.command_line import CommandParser, add_backbone, add_plugins
from safeio.entry import command
from safeio.errors import WrongChoice

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "torchscript": ".pt", "safetensors": ".safetensors", "hub-folder": ""}
MISSING = "this needs a package that is not installed: pip install -e '.[export]' (ONNX) or '.[hub]' (--push)"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    example = "mmrl export output/few_shot/caltech101_64/shots_16/MMRL/photo/seed1 --format onnx"
    parser = CommandParser(prog="mmrl export", description=__doc__, example=example)
    parser.add_argument("run", metavar="RUN_DIR", help="folder of the training run")
    parser.add_argument("--format", required=True, choices=SUFFIXES, help="kind of file to write, see above")
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="file, or folder with hub-folder (default: in RUN_DIR/export)"
    )
    parser.add_argument(
        "--classes", metavar="NAMES", help="classes to export: a file with one name on each line, or 'cat, dog'"
    )
    parser.add_argument(
        "--push", metavar="USER/NAME", help="hub-folder: upload it as this model; reads HF_TOKEN, HF_ENDPOINT"
    )
    add_backbone(parser, "the one the run was trained with")
    add_plugins(parser)
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.push is not None and args.format != "hub-folder":
        parser.error("--push uploads a folder: give --format hub-folder")
    try:
        from inference.classes import named_classes
        from inference.export.hub import push, write_hub_folder
        from inference.export.model_card import write_learned
        from inference.export.programs import write_program
        from inference.output import doubts
        from inference.predictor import Predictor

        classes = named_classes(args.classes) if args.classes else None
        predictor = Predictor.load(
            args.run, classes, device="cpu", backbone=args.backbone, precision="fp32", plugins=args.plugins
        )
        for doubt in doubts(predictor.run):
            print(doubt, file=sys.stderr)
        suffix = SUFFIXES[args.format]
        name = f"{predictor.run.record['method']}{suffix or '-hub'}"
        path = args.output or Path(args.run) / "export" / name
        if not suffix:
            print(f"{path}\n{write_hub_folder(predictor, path)}")
            if args.push is not None:
                print(push(path, args.push))
            return 0
        if path.suffix != suffix:
            raise WrongChoice(f"--output is {path}; a file of --format {args.format} ends in {suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        note = (write_learned if suffix == ".safetensors" else write_program)(predictor, path)
        print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)\n{note}")
    except ModuleNotFoundError as error:
        print(f"error: {MISSING} ({error})", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
