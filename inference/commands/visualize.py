"""Draw what a method learned: the attention of its tokens, and its image features on a plane.

mmrl visualize RUN_DIR image_or_folder ...          attention of class token and learned tokens, layer by layer
mmrl visualize RUN_DIR --features [CLASS_FOLDERS]   image features before and after, on a plane

Writes PNGs into RUN_DIR/figures or --output. See docs/predict.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runs.command_line import CommandParser, add_backbone, add_device, add_plugins, at_least_one, folder_name
from safeio.entry import command
from safeio.escape import for_line

MISSING = "mmrl visualize draws with matplotlib, which is not installed: pip install -e '.[figures]'"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    example = "mmrl visualize output/few_shot/caltech101_64/shots_16/MMRL/photo/seed1 image.png"
    parser = CommandParser(prog="mmrl visualize", description=__doc__, example=example)
    parser.add_argument("run", metavar="RUN_DIR", help="folder of the training run")
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help="image files, or folders of images, to draw the attention on"
    )
    parser.add_argument(
        "--features",
        nargs="?",
        const="",
        metavar="CLASS_FOLDERS",
        help="draw image features: of this folder with a folder for each class (default: of the run's test images)",
    )
    parser.add_argument(
        "--projection", default="tsne", choices=("tsne", "pca"), help="projection of features onto the plane"
    )
    parser.add_argument(
        "--per-class",
        type=at_least_one,
        default=15,
        metavar="N",
        help="with --features: number of images of each class",
    )
    parser.add_argument(
        "--output", type=folder_name, metavar="DIR", help="folder for the figures (default: RUN_DIR/figures)"
    )
    add_device(parser)
    add_backbone(parser, "the one the run was trained with")
    add_plugins(parser)
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if not args.images and args.features is None:
        parser.error("name images, or ask for --features")
    try:
        from inference.output import doubts
        from inference.predictor import Predictor
        from inference.visualize.draw import draw_attention, draw_features
    except ModuleNotFoundError as error:
        print(f"error: {MISSING} ({error})", file=sys.stderr)
        return 2
    predictor = Predictor.load(args.run, device=args.device, backbone=args.backbone, plugins=args.plugins)
    for doubt in doubts(predictor.run):
        print(doubt, file=sys.stderr)
    output = args.output or Path(args.run) / "figures"
    written, unreadable = [], []
    if args.images:
        written, unreadable = draw_attention(predictor, args.images, output)
    if args.features is not None:
        written.append(draw_features(predictor, args.features, args.projection, args.per_class, output))
    for path in written:
        print(for_line(str(path)))
    for path, why in unreadable:
        print(for_line(f"skipped {path}: {why}"), file=sys.stderr)
    return (1 if written else 2) if unreadable else 0


if __name__ == "__main__":
    raise SystemExit(main())
