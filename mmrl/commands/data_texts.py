"""Check the descriptions of DATASET's classes that CoPrompt and HiCroPL learn from, and print where their file belongs.

A language model wrote them; they are no part of this project. Their file is JSON, {"class name": ["text", ...], ...};
--file checks such a file and copies it to its place. Exit status 1: there is no file, or a class has no text.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmrl.commands.names import add_dataset
from runs.command_line import CommandParser, add_root
from runs.protocol import CONFIGS, find_dataset, read
from safeio.atomic import atomic_write_text
from safeio.class_texts import missing_of, read_texts, texts_file

SHOWN = 5
"""Number of classes that a line names."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(
        prog="mmrl data texts",
        description=__doc__,
        example="mmrl data texts caltech101 --root data --file gpt_file/caltech_prompt.json",
    )
    add_dataset(parser)
    add_root(parser)
    parser.add_argument(
        "--file",
        metavar="JSON",
        help="file of descriptions to check and to copy to its place (default: check the file there)",
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status: 0 where every class has texts in their place."""
    args = make_parser().parse_args(arguments)
    config = find_dataset(args.dataset)
    registered = read(CONFIGS / "datasets" / f"{config}.yaml")["DATASET"]["NAME"]
    place = texts_file(args.root, registered)
    source = Path(args.file) if args.file else place
    print(f"The texts about the classes of {registered} belong into {place}")
    if not source.is_file():
        return lacking(f'there is no file {source}: give one with --file, {{"class name": ["text", ...], ...}}')
    texts = read_texts(source)
    names = classes_of(config, args.root)
    missing = missing_of(texts, names)
    counts = sorted({len(own) for own in texts.values()} or {0})
    print(
        f"{source}: {len(texts):,} classes with {' to '.join(map(str, counts[:: max(1, len(counts) - 1)]))} texts each"
    )
    if missing:
        more = " ..." if len(missing) > SHOWN else ""
        named = ", ".join(missing[:SHOWN])
        return lacking(f"{source} has no texts of {len(missing)} of {len(names)} classes: {named}{more}")
    if len(counts) > 1:
        print("CoPrompt needs the same number of texts for every class; HiCroPL takes any number.")
    if source != place:
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(place, source.read_text(encoding="utf-8"))
        print(f"Copied to {place}")
    print(f"All {len(names)} classes have texts.")
    return 0


def lacking(message: str) -> int:
    """Print what is not there; return the exit status that says so."""
    print(f"error: {message}", file=sys.stderr)
    return 1


def classes_of(config: str, root: str) -> list[str]:
    """Return the names of a dataset's classes, from its data."""
    import train
    from dassl.data.datasets import build_dataset

    words = ["--trainer", "ZeroshotCLIP", "--root", root, "--dataset-config-file", f"configs/datasets/{config}.yaml"]
    return build_dataset(train.settings_of_run(train.parse([*words, "VERBOSE", "False"])).cfg).classnames
