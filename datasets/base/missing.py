"""Missing images of a list: their number, and a hint at where they may be."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence

from dassl.data.datasets import Datum
from safeio.errors import MissingFile
from safeio.images import image_suffixes


def few(items: Sequence[str], count: int = 5) -> str:
    """Return the first items as text, and the number of the others."""
    more = f" and {len(items) - count:,} more" if len(items) > count else ""
    return ", ".join(items[:count]) + more


def missing_message(missing: list[str], places: list[str], total: int) -> str:
    """Return a message: how many images are missing, where the first are listed, and the ending they have instead."""
    named = [f"{place}: {path}" if place else path for path, place in zip(missing, places, strict=True)]
    others = Counter()
    for path in missing[:1000]:
        stem = os.path.splitext(path)[0]
        others.update(end for end in image_suffixes() if os.path.isfile(stem + end))
    hint = ""
    if others:
        (end, count), *_ = others.most_common(1)
        hint = f" {count:,} of them are there under the ending {end}: was the data converted?"
    return f"{len(missing):,} of {total:,} images are missing, there is no image at: {few(named, 3)}.{hint}"


def refuse_missing(items: Iterable[Datum]) -> None:
    """Look for the images of a benchmark.

    Raises:
        FileNotFoundError: some are missing; the message counts them.
    """
    paths = list(dict.fromkeys(item.impath for item in items))
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        message = missing_message(missing, [""] * len(missing), len(paths))
        raise MissingFile(f"{message} Is DATASET.ROOT (--root) right, and is the data complete?")
