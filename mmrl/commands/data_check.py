"""Check that benchmarks are complete: print what was found against the expected numbers, and the first thing wrong."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from runs.command_line import CommandParser, add_root


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(prog="mmrl data check", description=__doc__, example="mmrl data check all --root data")
    parser.add_argument("names", nargs="*", default=["all"], metavar="DATASET", help="a benchmark, or all")
    add_root(parser)
    parser.add_argument("--deep", action="store_true", help="open every image")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    args = make_parser().parse_args(arguments)
    from datasets import check  # loads torch

    return check.main([*args.names, "--root", str(args.root), *(["--deep"] if args.deep else [])])
