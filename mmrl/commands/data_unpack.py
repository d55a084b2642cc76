"""Write photographs that come with the package as image files, a folder for each class, to try commands on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from runs.command_line import CommandParser, folder_name


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(
        prog="mmrl data unpack", description=__doc__, example="mmrl data unpack clothing_64 clothes --images 20"
    )
    parser.add_argument("dataset", metavar="DATASET", help="caltech101_64 or clothing_64")
    parser.add_argument("folder", metavar="FOLDER", type=folder_name, help="new folder for the images")
    parser.add_argument(
        "--split",
        choices=("train", "val", "test"),
        default="test",
        help="images to write: training, validation or test",
    )
    parser.add_argument("--classes", type=int, default=0, metavar="N", help="write the first N classes only; 0: all")
    parser.add_argument(
        "--images", type=int, default=0, metavar="N", help="write the first N images of each class only; 0: all"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    args = make_parser().parse_args(arguments)
    import datasets  # noqa: F401  (registers the builders)
    from datasets.base.embedded import unpack

    names = unpack(args.dataset, args.folder, args.split, args.classes, args.images)
    print(f"{len(names)} classes in {args.folder}: {', '.join(names)}")
    return 0
