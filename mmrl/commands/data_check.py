"""Check that benchmarks are complete: print the found and the expected numbers, and the first error.

For your own images (DATASET is folder, --root their folder or a list of them): print how they are read; with
--deep, also find broken and duplicate images and draw a contact sheet.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from runs.command_line import CommandParser, add_root


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(prog="mmrl data check", description=__doc__, example="mmrl data check all --root data")
    parser.add_argument("names", nargs="*", default=["all"], metavar="DATASET", help="a benchmark, all, or folder")
    add_root(parser)
    parser.add_argument("--deep", action="store_true", help="open every image")
    own = parser.add_argument_group("own images (DATASET folder)")
    own.add_argument("--sheet", metavar="PNG", help="contact sheet of --deep (./NAME-contact-sheet.png)")
    own.add_argument("--allow", nargs="+", default=[], metavar="WORD", help="accepted faults, as DATASET.ALLOW")
    own.add_argument("--val-share", type=float, metavar="SHARE", help="as DATASET.VAL_SHARE")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    from datasets import check  # loads torch
    from datasets.base.metadata import chosen

    try:
        chosen([name for name in args.names if name.lower() != "folder"])
    except ValueError as error:
        parser.error(f"{error} Own images are called folder.")

    words = [*args.names, "--root", str(args.root), *(["--deep"] if args.deep else [])]
    words += ["--sheet", args.sheet] if args.sheet else []
    words += ["--val-share", str(args.val_share)] if args.val_share is not None else []
    return check.main([*words, *(["--allow", *args.allow] if args.allow else [])])
