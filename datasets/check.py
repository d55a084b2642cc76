"""Check whether data is complete, for `mmrl data check`.

For each benchmark it prints a row: found and expected numbers, and the first error. For own images it prints how they
are read: splits, classes, names, files left out. It writes only the listings of ImageNet's folders and the contact
sheet.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.metadata import read_facts
from datasets.base.splits import Split, SplitError
from datasets.own.divide import divide, rule_of
from datasets.own.inspect import contact_sheet, inspect
from datasets.own.read import read_table
from datasets.own.report import describe
from safeio.errors import UserError
from safeio.file_names import own_data_name
from safeio.images import image_problem
from safeio.progress import progress

AT_ONCE = 1024  # images handed to the threads together


def check_all(names: Sequence[str], root: Path, deep: bool = False) -> int:
    """Print a row for each of these benchmarks, by registry name; 0 if everything is as expected, else 1."""
    rows = [check(name, root, deep) for name in names]
    print(tabulate(rows, headers=["dataset", "state", "classes", "train", "val", "test", "remark"]))
    return 0 if all(row[1] == "found" for row in rows) else 1


def check_own(
    root: Path, deep: bool = False, sheet: Path | None = None, allow: Sequence[str] = (), val_fraction: float = -1.0
) -> int:
    """Print how own images are read and, with `deep`, their faults; return 0 without faults, else 1.

    Args:
        root: folder or list of the images.
        sheet: file of the contact sheet that `deep` writes, in the working folder by default.
    """
    try:
        table = read_table(root, allow)
        split = divide(table, val_fraction)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(describe(table, split, rule_of(table, val_fraction)))
    if not deep:
        return 0
    findings = inspect(split)
    print(*findings.lines(), sep="\n")
    file = contact_sheet(split, sheet or Path(f"{own_data_name(root)}-contact-sheet.png"))
    print(f"contact sheet, a few images of each class and split: {file}")
    leaks = findings.exact if "leaks" not in allow else []
    return 1 if findings.unreadable or leaks else 0


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
    """Return the error of the first image that cannot be opened; None if all can."""
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
        yield from pool.map(image_problem, block)
