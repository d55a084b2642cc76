"""Look whether benchmarks are complete: `python -m datasets.check [NAME ...|all] --root DATA [--deep]`.

Prints a row per dataset: what was found against the expected numbers, and the first thing that is wrong. Nothing is
written but the listings of ImageNet's folders.
"""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tabulate import tabulate

from dassl.data.datasets import DATASET_REGISTRY
from dassl.utils.progress import progress
from datasets.base.metadata import chosen, read_facts
from datasets.base.splits import Split, SplitError

AT_ONCE = 1024  # images handed to the threads together


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 if everything looked at is as expected, else 1."""
    parser = argparse.ArgumentParser(prog="datasets.check", description=__doc__)
    parser.add_argument("names", nargs="*", default=["all"], metavar="NAME", help="a benchmark, or all")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder that holds the datasets (./data)")
    parser.add_argument("--deep", action="store_true", help="open every image")
    options = parser.parse_args(arguments)
    try:
        names = chosen(options.names or ["all"])
    except ValueError as error:
        parser.error(str(error))
    root = options.root.expanduser().absolute()
    rows = [check(name, root, options.deep) for name in names]
    print(tabulate(rows, headers=["dataset", "state", "classes", "train", "val", "test", "remark"]))
    return 0 if all(row[1] == "found" for row in rows) else 1


def check(name: str, root: Path, deep: bool = False) -> list[str]:
    """One row: name, state (found, missing, incomplete, different), counts with the expected ones where they differ."""
    builder, expected = DATASET_REGISTRY.get(name), read_facts()[name]
    folder = root / builder.dataset_dir
    if not folder.is_dir():
        return [name, "missing", "", "", "", "", f"no folder {folder}"]
    try:
        split = builder.whole(folder)
    except (SplitError, OSError, ValueError) as error:
        return [name, "incomplete", "", "", "", "", str(error)]
    found = {"classes": len({item.label for item in split.train})} | {p: len(i) for p, i in split._asdict().items()}
    if not expected["train"]:  # for testing alone
        found |= {"train": 0, "val": 0}
    wanted = {key: int(expected[key] or 0) for key in found}
    cells = [f"{n:,}" if n == wanted[key] else f"{n:,} (not {wanted[key]:,})" for key, n in found.items()]
    split_file = getattr(builder, "split_file", "")
    remark = "" if not split_file or (folder / split_file).is_file() else f"no {split_file}: a new split would be drawn"
    broken = first_unreadable(split) if deep else None
    state = "incomplete" if broken else "found" if found == wanted and not remark else "different"
    return [name, state, *cells, broken or remark]


def first_unreadable(split: Split) -> str | None:
    """What is wrong with the first image that cannot be opened; None if all can."""
    paths = list(dict.fromkeys(item.impath for part in split for item in part))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders let other threads run
        for problem in progress(_in_turn(pool, paths), "opening images", len(paths)):
            if problem:
                return problem
    return None


def _in_turn(pool: ThreadPoolExecutor, paths: list[str]) -> Iterable[str | None]:
    """Problems in the order of paths; a block at a time, so that the first one ends the work soon."""
    waiting = iter(paths)
    while block := list(itertools.islice(waiting, AT_ONCE)):
        yield from pool.map(_problem, block)


def _problem(path: str) -> str | None:
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:  # decoders answer damaged data with almost any exception
        return f"cannot open {path}: {error}"
    return None


if __name__ == "__main__":
    raise SystemExit(main())
