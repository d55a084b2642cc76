"""Splits of the benchmarks: read, make and write one, take half of the classes.

With the same seed every choice equals the published code's. The order of a list decides what is drawn from it, so no
list is sorted here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from yacs.config import CfgNode

from dassl.data.datasets import Datum
from dassl.data.few_shot import group_by
from datasets.base.missing import refuse_missing
from safeio.atomic import atomic_write_text
from safeio.read_back import DamagedFile, parse_json, read_back

VAL_FRACTION = 0.2  # of a class, where a benchmark comes without a validation split
TRAIN_FRACTION = 0.5  # of a class, where it comes without any split
SPLIT_FILE = "a split file (an object of lists train, val and test, each of [path, label, class name])"


class Split(NamedTuple):
    """The training, validation and test split of a dataset, as lists of images."""

    train: list[Datum]
    val: list[Datum]
    test: list[Datum]


class SplitError(DamagedFile, RuntimeError):
    """A split file is missing or malformed; the message names it and what was expected."""


def dataset_folder(cfg: CfgNode, name: str) -> Path:
    """Folder `name` below `DATASET.ROOT`; `~` is expanded."""
    return Path(cfg.DATASET.ROOT).expanduser().absolute() / name


def unlabelled(train: Sequence[Datum], cfg: CfgNode) -> tuple[list[Datum] | None, list[str]]:
    """Return all training images without labels and the names of their classes, where DATASET.UNLABELLED asks for them.

    Args:
        train: the training images of all classes, before few of them or some classes are chosen.
    """
    if not getattr(cfg.DATASET, "UNLABELLED", False):
        return None, []
    names = {item.label: item.classname for item in train}
    return [Datum.listed(item.impath, -1, item.domain, "") for item in train], [names[i] for i in sorted(names)]


def existing_folder(folder: Path) -> Path:
    """Return the folder of a benchmark.

    Raises:
        SplitError: there is none.
    """
    if not folder.is_dir():
        raise SplitError(
            f"There is no folder {folder}. Is DATASET.ROOT (--root) right? `mmrl data prepare` says how to get it."
        )
    return folder


def read_split(path: str | os.PathLike, images: str | os.PathLike) -> Split:
    """Read a split file of the CoOp family.

    It is a JSON object of three lists, `train`, `val` and `test`, of `[path, label, class name]`.

    Args:
        path: the file.
        images: folder that the paths in it are relative to.

    Raises:
        SplitError: there is no such file, or it holds something else.
        FileNotFoundError: an image it names is missing.
    """
    path, images = Path(path), os.fspath(images)
    if not path.is_file():
        raise SplitError(f"There is no split file {path}. Is DATASET.ROOT (--root) right, and is the data complete?")
    rows = read_back(path, _rows, "Fetch it again.", SPLIT_FILE, SplitError)
    split = Split(**{part: _data(entries, images) for part, entries in rows.items()})
    refuse_missing([*split.train, *split.val, *split.test])
    return split


def _rows(path: Path) -> dict[str, list[tuple[str, int, str]]]:
    content = parse_json(path.read_bytes())
    return {part: [(str(file), int(label), str(name)) for file, label, name in content[part]] for part in Split._fields}


def _data(entries: Iterable[tuple[str, int, str]], images: str) -> list[Datum]:
    return [Datum.listed(os.path.join(images, path), label, 0, name) for path, label, name in entries]


def write_split(split: Split, path: str | os.PathLike, images: str | os.PathLike) -> None:
    """Write a split file for `read_split`, byte for byte in the published format."""
    content = {
        part: [[relative(item, images), item.label, item.classname] for item in items]
        for part, items in split._asdict().items()
    }
    atomic_write_text(path, json.dumps(content, indent=4, separators=(",", ": ")))


def split_trainval(items: list[Datum], rng: Any, val_fraction: float = VAL_FRACTION) -> tuple[list[Datum], list[Datum]]:
    """Take a fraction of each class, a fifth, for validation.

    Args:
        rng: a ``random.Random``, or the module ``random`` for the process-wide generator.

    Returns:
        What is left for training, and the validation split; classes in order of first appearance.

    Raises:
        ValueError: a class is too small to give a single image.
    """
    train, val = [], []
    for group in group_by(items, lambda item: item.label).values():
        count = round(val_fraction * len(group))
        if not count:
            raise ValueError(
                f"class {group[0].classname!r} has {len(group)} images, too few for {val_fraction:.0%} of them"
            )
        order = list(group)
        rng.shuffle(order)
        val += order[:count]
        train += order[count:]
    return train, val


def split_groups(
    groups: Iterable[list[Datum]], rng: Any, train_fraction: float = TRAIN_FRACTION, val_fraction: float = VAL_FRACTION
) -> Split:
    """Half of each class for training, a fifth for validation, the rest for testing.

    Args:
        rng: as in `split_trainval`.

    Raises:
        ValueError: a class is too small to give each split an image.
    """
    parts = Split([], [], [])
    for group in groups:
        train, val = round(train_fraction * len(group)), round(val_fraction * len(group))
        if not (train and val and len(group) > train + val):
            named = repr(group[0].classname) if group else "without a name"
            raise ValueError(f"class {named} has {len(group)} images, too few for training, validation and testing")
        order = list(group)
        rng.shuffle(order)
        parts.train.extend(order[:train])
        parts.val.extend(order[train : train + val])
        parts.test.extend(order[train + val :])
    return parts


def subsample(split: Split, classes: str) -> Split:
    """Keep a half of the classes, or all, in each of the three splits (`subsample_lists`)."""
    return Split(*subsample_lists(split, classes))


def subsample_lists(lists: Sequence[list[Datum]], classes: str) -> Sequence[list[Datum]]:
    """Keep the first half of the classes (`base`), the second (`new`) or `all`, numbered from 0.

    Of n classes in the first list, the training split, the base half has ceil(n / 2).

    Raises:
        ValueError: `classes` is something else.
    """
    if classes not in ("all", "base", "new"):
        raise ValueError(f"DATASET.SUBSAMPLE_CLASSES is {classes!r}; it must be one of all, base, new")
    if classes == "all":
        return lists
    labels = sorted({item.label for item in lists[0]})
    middle = math.ceil(len(labels) / 2)
    kept = labels[:middle] if classes == "base" else labels[middle:]
    number = {label: position for position, label in enumerate(kept)}
    return [[_relabelled(item, number) for item in part if item.label in number] for part in lists]


def _relabelled(item: Datum, number: dict[int, int]) -> Datum:
    return Datum.listed(item.impath, number[item.label], 0, item.classname)


def relative(item: Datum, images: str | os.PathLike) -> str:
    """Return an image's path relative to a folder, with forward slashes; a path outside the folder stays absolute."""
    path = Path(item.impath)
    return str(PurePosixPath(path.relative_to(images) if path.is_relative_to(images) else path))
