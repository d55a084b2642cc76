"""Predict own images with a trained run.

python predict.py RUN_DIR image_or_folder ... [--topk 5] [--classes names.txt] [--csv out.csv] [--json]

Exit status: 0 all images were predicted, 1 some could not be read, 2 nothing could be done. See docs/predict.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from runs.command_line import CommandParser, add_backbone, add_device
from safeio.entry import command

ALL, SOME, NOTHING = 0, 1, 2


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    example = "python predict.py output/few_shot/openmoji/shots_16/MMRL/emoji/seed1 image.png --topk 3"
    parser = CommandParser(description=__doc__, example=example)
    parser.add_argument("run", metavar="RUN_DIR", help="folder of the run that trained")
    parser.add_argument("images", nargs="+", help="image files, or folders of images")
    parser.add_argument("--topk", type=int, default=5, help="classes named for each image")
    parser.add_argument("--classes", metavar="FILE", help="class names to choose among, one per line; trained or new")
    parser.add_argument("--csv", metavar="FILE", help="write a table")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--batch-size", type=int, default=32, help="images computed at once")
    add_device(parser)
    add_backbone(parser)
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = make_parser().parse_args(arguments)
    from inference.classes import read_classes  # these load torch
    from inference.output import as_data, as_text, notes, write_csv
    from inference.predictor import Predictor

    try:
        classes = read_classes(args.classes) if args.classes else None
        predictor = Predictor.load(args.run, classes, args.device, args.backbone)
        for note in notes(predictor):
            print(note, file=sys.stderr)
        found = predictor.predict(args.images, args.topk, args.batch_size)
        if args.csv:
            write_csv(found, args.csv)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return NOTHING
    print(json.dumps(as_data(found, predictor), indent=1) if args.json else as_text(found))
    for path, why in found.unreadable:
        print(f"skipped {path}: {why}", file=sys.stderr)
    if not found:
        return NOTHING
    return SOME if found.unreadable else ALL


if __name__ == "__main__":
    raise SystemExit(main())
