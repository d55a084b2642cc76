"""Fetch benchmarks and prepare their folders: download public files, and name those to fetch by hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from runs.command_line import CommandParser, add_root


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(prog="mmrl data prepare", description=__doc__, example="mmrl data prepare dtd --root data")
    parser.add_argument("names", nargs="+", metavar="DATASET", help="a benchmark, or all; `mmrl list datasets`")
    add_root(parser)
    parser.add_argument("--make-split", action="store_true", help="draw a split where the published one is missing")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    from datasets.base.metadata import chosen, read_sources  # loads torch, as the next
    from datasets.prepare import prepare

    try:
        names = chosen(args.names)
    except ValueError as error:
        parser.error(str(error))
    root, sources = Path(args.root).expanduser(), read_sources()
    ready = [prepare(name, root, sources[name], args.make_split) for name in names]
    return 0 if all(ready) else 1
