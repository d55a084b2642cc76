"""Images that a run has used, for its record: two runs are comparable only on the same test images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dassl.data.datasets import Datum
from datasets.base.embedded import EMBEDDED
from datasets.base.few_shot import fingerprint
from safeio.packed_images import container_of, is_packed

ATTRIBUTES = {"train": "train_x", "val": "val", "test": "test"}
"""Split -> attribute of a dataset."""


def images_used(dataset: Any, root: str) -> dict[str, dict[str, Any]]:
    """Return number, fingerprint and file sizes in bytes of the images of each split that has any.

    The fingerprint is over paths below `root`, labels and names, the bytes are those of all of them together. Paths of
    images inside this package are below its folder: they are the same images in every clone.
    """
    above = Path(root).expanduser().absolute()
    found: dict[str, dict[str, Any]] = {}
    for split, items in _splits(dataset):
        inside = all(Path(item.impath).is_relative_to(EMBEDDED) for item in items)
        found[split] = {"count": len(items), "sha256": fingerprint(items, EMBEDDED if inside else above)}
        if not any(is_packed(item.impath) for item in items):  # whose address has its size
            with suppress(OSError):  # an image that is gone by now
                found[split]["bytes"] = sum(os.path.getsize(item.impath) for item in items)
    return found


def folders_outside(dataset: Any, root: str) -> list[str]:
    """Return the folders of images that do not lie below `root`, such as those that a list names."""
    place = os.path.realpath(os.path.expanduser(root))
    folders = {os.path.dirname(container_of(path)) for path in _paths(dataset)}
    return sorted(folder for folder in folders if not _is_below(os.path.realpath(folder), place))


def _is_below(folder: str, place: str) -> bool:
    return os.path.isdir(place) and os.path.commonpath([folder, place]) == place


def _paths(dataset: Any) -> Iterable[str]:
    return (item.impath for _, items in _splits(dataset) for item in items)


def _splits(dataset: Any) -> Iterator[tuple[str, list[Datum]]]:
    named = ((split, getattr(dataset, name, None)) for split, name in ATTRIBUTES.items())
    return ((split, items) for split, items in named if items)
