"""Download the files of benchmark datasets, unpack them where this project looks for them, and check the result.

Files that need a login or the consent of their owners are named, with the page to fetch them from.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from runs.command_line import CommandParser, add_root


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(prog="mmrl data prepare", description=__doc__, example="mmrl data prepare dtd --root data")
    parser.add_argument(
        "names",
        nargs="+",
        metavar="DATASET",
        help="one or more benchmarks, or all; `mmrl list datasets` shows their names",
    )
    add_root(parser)
    parser.add_argument(
        "--make-split",
        action="store_true",
        help="where the published split is missing, draw another; its results cannot be compared with published ones",
    )
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
