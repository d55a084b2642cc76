"""Measure time and memory of listing a folder tree like ImageNet's: `python -m benchmarks.dataset_listing`.

The benchmark makes a tree of empty files in a temporary folder and removes it at the end. It compares three ways:
listing and then looking for each file, as the published code does; listing alone; and reading a kept listing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).parent.parent))


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000, help="number of files (default: 200000)")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each way (default: 3)")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from safeio import threads  # noqa: F401, I001  (before torch)

import torch

from benchmarks._measure import hardware, in_turn, median_ms, peak_memory
from dassl.data.datasets import Datum
from datasets.base.imagenet_family import all_items
from datasets.base.listing_cache import list_classes
from datasets.imagenet import few_shot_train

CLASSES = 1000
LONG_AGO = 1_500_000_000  # seconds; the time of folders that nobody has just changed
CPU = torch.device("cpu")


def make_tree(folder: Path, files: int) -> None:
    """Write empty files in `CLASSES` folders with names like ImageNet's, and the file of class names."""
    wnids = [f"n{number:08d}" for number in range(CLASSES)]
    for wnid in wnids:
        place = folder / "images" / "train" / wnid
        place.mkdir(parents=True)
        for number in range(files // CLASSES):
            (place / f"{wnid}_{number}.JPEG").touch()
        os.utime(place, (LONG_AGO, LONG_AGO))
    (folder / "classnames.txt").write_text("".join(f"{wnid} thing {wnid}\n" for wnid in wnids))


def looked_for(folder: Path) -> list[Datum]:
    """Return all images, after looking for each file."""
    listing = {name: sorted(os.listdir(folder / name)) for name in sorted(os.listdir(folder))}
    return [
        Datum(os.path.join(folder, wnid, file), label, 0, wnid)
        for label, (wnid, files) in enumerate(listing.items())
        for file in files
    ]


def listed(folder: Path, cache: Path | None) -> list[Datum]:
    """Return all images from a listing of the folders."""
    listing = list_classes(folder, cache=cache)
    return all_items(folder, list(listing), listing)


def main() -> None:
    """Print a row for each way of listing."""
    options = make_parser().parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place) / "imagenet", Path(place) / "listing.json"
        make_tree(folder, options.files)
        train = folder / "images" / "train"
        ways: dict[str, Callable[[], object]] = {
            "each file looked for": lambda: looked_for(train),
            "listed": lambda: listed(train, None),
            "listing kept": lambda: listed(train, cache),
            "16 shots, listing kept": lambda: few_shot_train(folder, 16, -1),
        }
        seconds = in_turn(ways, options.repeats, CPU)
        found = hardware(CPU)
        print(f"{options.files:,} empty files in {CLASSES} folders; {found['device']}, Python {found['python']}")
        for name, compute in ways.items():
            print(f"{name:24} {median_ms(seconds[name].clock):8.0f} ms {peak_memory(compute, CPU):8.0f} MiB")
        print(f"the listing is a file of {cache.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
