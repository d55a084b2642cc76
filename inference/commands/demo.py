"""Try a run in the browser, or two side by side.

python -m mmrl demo RUN_DIR [RUN_DIR] [--classes names.txt] [--port 7860]

The page is served to this machine only. See docs/predict.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runs.command_line import CommandParser, add_backbone, add_device
from safeio.entry import command

MISSING = "mmrl demo shows its page with Gradio, which is not installed: pip install -e '.[demo]'"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    example = "mmrl demo output/few_shot/caltech101_64/shots_16/MMRL/photo/seed1"
    parser = CommandParser(prog="mmrl demo", description=__doc__, example=example)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="folder of a run that trained; two to compare")
    parser.add_argument("--classes", metavar="NAMES", help="classes to begin with: a file, one per line, or 'cat, dog'")
    parser.add_argument("--port", type=int, help="port of the page (the first free one from 7860 on)")
    add_device(parser)
    add_backbone(parser)
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if len(args.runs) > 2:
        parser.error(f"one run, or two to compare, not {len(args.runs)}")
    try:
        from inference.classes import named_classes
        from inference.demo.page import build_page, serve
        from inference.predictor import Predictor
    except ModuleNotFoundError as error:
        print(f"error: {MISSING} ({error})", file=sys.stderr)
        return 2
    try:
        classes = named_classes(args.classes) if args.classes else None
        predictors = [Predictor.load(run, classes, args.device, args.backbone) for run in args.runs]
        serve(build_page(predictors), args.port)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
