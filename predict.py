"""Predict your own images with a trained run, or with zero-shot CLIP.

mmrl predict RUN_DIR image_or_folder ... [--topk 5] [--classes names.txt] [--csv out.csv] [--json]
mmrl predict --zero-shot "cat, dog, grand piano" image_or_folder ... [--backbone ViT-B/16]

Exit status: 0 all images were predicted, 1 some could not be read, 2 nothing could be done. See docs/predict.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runs.command_line import CommandParser, add_backbone, add_device, add_plugins, at_least_one
from safeio.entry import command
from safeio.escape import for_line

if TYPE_CHECKING:
    from inference.predictor import Predictor

ALL, SOME, NOTHING = 0, 1, 2


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    example = "mmrl predict output/few_shot/caltech101_64/shots_16/MMRL/photo/seed1 image.png --topk 3"
    usage = "%(prog)s RUN_DIR IMAGE ... [options]\n       %(prog)s --zero-shot NAMES IMAGE ... [options]"
    parser = CommandParser(description=__doc__, example=example, usage=usage)
    parser.add_argument(
        "places",
        nargs="*",
        metavar="RUN_DIR IMAGE",
        help="folder of the training run (not with --zero-shot), then image files or folders of images",
    )
    parser.add_argument(
        "--zero-shot",
        metavar="NAMES",
        help="instead of a run: zero-shot CLIP with these classes, given as for --classes",
    )
    parser.add_argument(
        "--topk",
        type=at_least_one,
        default=5,
        metavar="N",
        help="number of most probable classes to print for each image",
    )
    parser.add_argument(
        "--classes",
        metavar="NAMES",
        help="classes to choose among: a file with one name on each line, or 'cat, dog' (default: the run's own)",
    )
    parser.add_argument("--csv", metavar="FILE", help="also write the predictions to this CSV file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--batch-size", type=at_least_one, default=32, metavar="N", help="number of images in a batch")
    add_device(parser)
    add_backbone(parser, "the one the run was trained with; photo-ViT-8 with --zero-shot")
    add_plugins(parser)
    return parser


def model_of(args: argparse.Namespace) -> Predictor:
    """Return the run's model, or CLIP as it is for --zero-shot."""
    from inference.classes import named_classes
    from inference.predictor import Predictor
    from inference.zero_shot import zero_shot_model

    if args.zero_shot:
        return zero_shot_model(named_classes(args.zero_shot), args.backbone, args.device)
    classes = named_classes(args.classes) if args.classes else None
    return Predictor.load(args.places[0], classes, args.device, args.backbone, plugins=args.plugins)


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if not args.places:
        parser.error("name images, or folders of images" + ("" if args.zero_shot else ", after the folder of a run"))
    images = args.places if args.zero_shot else args.places[1:]
    if args.zero_shot and args.classes:
        parser.error("--zero-shot names the classes: leave --classes out")
    if not images:
        parser.error(f"name images to predict with {args.places[0]}; without a run: --zero-shot 'cat, dog'")
    from inference.images import find_images
    from inference.output import as_data, as_text, notes, write_csv  # these load torch

    predictor = model_of(args)
    for note in notes(predictor):
        print(note, file=sys.stderr)
    found = predictor.predict(find_images(images), args.topk, args.batch_size)
    if args.csv:
        write_csv(found, args.csv)
    print(json.dumps(as_data(found, predictor), indent=1) if args.json else as_text(found))
    for path, why in found.unreadable:
        print(for_line(f"skipped {path}: {why}"), file=sys.stderr)
    if not found:
        return NOTHING
    return SOME if found.unreadable else ALL


if __name__ == "__main__":
    raise SystemExit(main())
