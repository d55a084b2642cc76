"""Check that benchmark datasets are complete: print found and expected numbers of images, and the first error.

For your own images (DATASET is `folder`, --root their folder or a list of them) it prints how they are read: classes,
images of each and the split. With --deep it also finds broken and duplicate images and draws a contact sheet.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from runs.command_line import CommandParser, add_root


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(prog="mmrl data check", description=__doc__, example="mmrl data check all --root data")
    parser.add_argument(
        "names", nargs="*", default=["all"], metavar="DATASET", help="benchmarks, all, or folder for your own images"
    )
    add_root(parser)
    parser.add_argument("--deep", action="store_true", help="decode every image, to find broken ones")
    own = parser.add_argument_group("own images (DATASET folder)")
    own.add_argument(
        "--sheet",
        type=Path,
        metavar="PNG",
        help="with --deep: file of the contact sheet (default: ./NAME-contact-sheet.png)",
    )
    own.add_argument(
        "--allow",
        nargs="+",
        default=[],
        metavar="WORD",
        help="faults to accept: duplicates, leaks, partial, nested, one_class (setting DATASET.ALLOW)",
    )
    text = (
        "fraction of each class for validation; negative: 0.2 where the split is drawn, else 0 (DATASET.VAL_FRACTION)"
    )
    own.add_argument("--val-fraction", type=float, default=-1.0, metavar="FRACTION", help=text)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    from datasets.base.metadata import chosen  # loads torch, as all below
    from datasets.check import check_all, check_own
    from datasets.own.table import ALLOWABLE

    root = Path(args.root).expanduser().absolute()
    if unknown := [word for word in args.allow if word not in ALLOWABLE]:
        parser.error(f"argument --allow: {unknown[0]} is not known; it must be one of {', '.join(ALLOWABLE)}")
    if [name.lower() for name in args.names] == ["folder"]:
        return check_own(root, args.deep, args.sheet, args.allow, args.val_fraction)
    try:
        names = chosen(args.names)
    except ValueError as error:
        parser.error(f"{error} To check your own images, give the single name folder.")
    return check_all(names, root, args.deep)
