"""Description of own images for the log and for `mmrl data check folder`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from tabulate import tabulate

from dassl.data.class_names import printable
from datasets.base.missing import few
from datasets.base.splits import Split
from datasets.own.table import Table

SHOWN = 12
"""Classes that are listed; the others are counted."""


def describe(table: Table, splits: Split, division: str) -> str:
    """Return what was read and by which rules: splits with counts, first classes with an example, files left out."""
    return "\n".join(_lines(table, splits, division))


def _lines(table: Table, splits: Split, division: str) -> Iterator[str]:
    yield f"Own images: {table.root}"
    yield from (f"  {rule}" for rule in (*table.rules, division))
    counts = ", ".join(f"{split} {len(items):,}" for split, items in splits._asdict().items())
    yield f"  {len(table.names):,} classes, {len(table.rows):,} images: {counts}"
    yield tabulate(_rows(table, splits), headers=["label", "class", *Split._fields, "example"])
    if len(table.names) > SHOWN:
        yield f"... and {len(table.names) - SHOWN:,} more classes"
    if table.unread:
        kinds = [f"{count:,} {kind}" for kind, count in table.unread.most_common()]
        yield f"  not read: {few(kinds, 10)}"
    if table.ignored:
        yield f"  not used: {few(table.ignored, 10)}"
    yield from (f"  Warning: {warning}" for warning in table.warnings)


def _rows(table: Table, splits: Split) -> Iterator[list]:
    """Yield a row for each of the first classes: label, name, counts by split, an example."""
    counts = [Counter(item.label for item in split) for split in splits]
    examples = {item.label: item.impath for split in reversed(splits) for item in reversed(split)}
    for label, name in list(enumerate(table.names.values()))[:SHOWN]:
        example = examples.get(label, "")
        shown = os.path.relpath(example, table.root) if example.startswith(str(table.root) + os.sep) else example
        yield [label, printable(name)[1:-1], *(count[label] for count in counts), printable(shown)[1:-1]]
