"""The table that every layout is read into, and the notes of how it was read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from datasets.base.missing import few
from datasets.base.splits import SplitError
from safeio.packed_images import is_packed

SPLIT_NAMES = ("train", "val", "test")
ALLOWABLE = {
    "duplicates": "an image is listed twice",
    "leaks": "an image is in training and in another split",
    "partial": "a class is in one split only",
    "nested": "folders inside class folders look like classes or splits",
    "one_class": "there is only one class",
}
"""Faults that DATASET.ALLOW accepts, and their meaning."""


class OwnDataError(SplitError):
    """Own images whose layout is unclear or faulty; the message says what was found and what to do."""


class Row(NamedTuple):
    """One image.

    Attributes:
        path: its file, or its address in a packed file (`safeio.packed_images`).
        label: key of its class, such as the folder's name or the manifest's label.
        split: its split, train, val or test; empty where none is given.
        place: where it is listed, such as `labels.csv, line 3`; empty for a folder's file.
    """

    path: str
    label: str
    split: str = ""
    place: str = ""


@dataclass
class Table:
    """All images of a dataset, and how they were found.

    Attributes:
        root: what was given; name: of the dataset.
        rows: one per image.
        names: class key -> class name, in the order of labels.
        rules: how splits, classes and names were found, a sentence each.
        warnings: what a user should look at.
        unread: files that are no readable images, by ending.
        ignored: csv, json and similar files that were not used.
    """

    root: Path
    rows: list[Row]
    names: dict[str, str] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    ignored: list[str] = field(default_factory=list)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the data itself names."""
        given = {row.split for row in self.rows}
        return tuple(split for split in SPLIT_NAMES if split in given)


def check_allowed(allow: Collection[str]) -> None:
    """Raise OwnDataError for a word that DATASET.ALLOW does not know."""
    if unknown := sorted(set(allow) - set(ALLOWABLE)):
        known = "; ".join(f"{word} ({meaning})" for word, meaning in ALLOWABLE.items())
        raise OwnDataError(f"DATASET.ALLOW has {', '.join(unknown)}; it takes {known}.")


def check_table(table: Table, allow: Collection[str] = ()) -> None:
    """Refuse doubled rows, leaks between splits, a single class, and classes that miss a split.

    Raises:
        OwnDataError: the message names the images with their lines, and the switch that allows it.
    """
    if not table.rows:
        raise OwnDataError(f"{table.root} holds no images.")
    _check_doubles(table, allow)
    if len(table.names) < 2 and "one_class" not in allow:
        only = next(iter(table.names), "none")
        raise OwnDataError(
            f"{table.root} holds one class only, {only!r:.80} with {len(table.rows):,} images, so that every "
            f"prediction is right. Expected a folder for each class ({table.root}/<class>/*.jpg), or a manifest with "
            f"a label for each image. If it is meant: DATASET.ALLOW one_class."
        )
    if "partial" not in allow:
        _check_splits(table)


def _check_doubles(table: Table, allow: Collection[str]) -> None:
    first: dict[str, Row] = {}
    doubles, leaks = [], []
    real = cache(os.path.realpath)
    for row in table.rows:
        other = first.setdefault(_file(row.path, real), row)
        if other is not row:
            same = f" is {other.path}" if other.path != row.path else ""
            pair = f"{row.path}{same} ({_place(other)}; {_place(row)})"
            (leaks if other.split != row.split else doubles).append(pair)
    for found, word, what in (
        (leaks, "leaks", "in two splits, which makes a test worthless"),
        (doubles, "duplicates", "listed twice"),
    ):
        if found and word not in allow:
            raise OwnDataError(
                f"{len(found):,} images of {table.root} are {what}: {few(found, 3)}. Remove the lines or links, or "
                f"allow it: DATASET.ALLOW {word}."
            )


def _file(path: str, real: Callable[[str], str]) -> str:
    """Return the file behind links of an image or of its folder; `real` resolves those, each folder once."""
    if is_packed(path):
        return path
    folder, name = os.path.split(path)
    path = os.path.join(real(folder), name)
    return os.path.realpath(path) if os.path.islink(path) else path


def _place(row: Row) -> str:
    said = [row.place, row.split and f"split {row.split}", f"class {row.label}"]
    return ", ".join(word for word in said if word)


def _check_splits(table: Table) -> None:
    """Compare the classes of the training and the test split, where the data names both."""
    if any(not row.split for row in table.rows):
        return  # those are divided class by class
    if "train" not in table.splits:
        raise OwnDataError(
            f"{table.root} names only the splits {', '.join(table.splits)}: there is nothing to train on."
        )
    tested = "test" if "test" in table.splits else "val"
    classes = {split: {row.label for row in table.rows if row.split == split} for split in table.splits}
    elsewhere = set().union(*(found for split, found in classes.items() if split not in ("train", tested)))
    if untested := sorted((classes["train"] & elsewhere) - classes.get(tested, set())):
        table.warnings.append(f"not tested, without images in {tested}: {few(untested)}")
    for here, there in [("train", split) for split in table.splits[1:]] + [(tested, "train")]:
        missing = sorted(classes[there] - classes.get(here, set()) - (elsewhere if here == tested else set()))
        if here not in classes or not missing:
            continue
        folded = {name.casefold(): name for name in classes[here] - classes[there]}
        akin = [f"{name!r} and {folded[name.casefold()]!r}" for name in missing if name.casefold() in folded]
        alike = f" {few(akin)} differ in capitals only: rename one." if akin else ""
        raise OwnDataError(
            f"{table.root}: {len(missing)} classes are in {there} but not in {here}: {few(missing)}.{alike} Add "
            f"images, remove the class, or allow it (it is then left out where it cannot be used): DATASET.ALLOW "
            f"partial."
        )
