"""Images of the user's own: what is listed in a manifest or lies in class folders, as rows to make a split of."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datasets.base.benchmark import lines, visible
from datasets.base.splits import SplitError
from safeio.errors import MissingFile

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class Row(NamedTuple):
    """One image: path, number of its class, name of its class, and its part; empty where none is given."""

    path: Path
    label: int
    classname: str
    part: str


def read_rows(folder: Path) -> list[Row]:
    """What `folder` holds, by its `manifest.csv`, `manifest.jsonl`, `train/<class>/` or `<class>/`, whichever is first.

    Raises:
        SplitError: there is none of them, or a line of the manifest is not understood; the message names it.
    """
    for name, read in (("manifest.csv", _csv), ("manifest.jsonl", _jsonl)):
        if (folder / name).is_file():
            return _numbered(folder, folder / name, list(read(folder / name)))
    if (folder / "train").is_dir():
        parts = [path for path in sorted(visible(folder)) if path.is_dir() and path.name.lower() in PARTS]
        found = [(file, name, PARTS[part.name.lower()]) for part in parts for file, name in _images(part)]
    else:
        found = [(file, name, "") for file, name in _images(folder)] if folder.is_dir() else []
    if not found:
        raise SplitError(
            f"There are no images of yours in {folder}: expected train/<class>/*.jpg (and val/, test/), "
            f"<class>/*.jpg, manifest.csv or manifest.jsonl. Is DATASET.ROOT (--root) right?"
        )
    classes = sorted({name for _, name, _ in found})
    names = _class_names(folder, classes)
    return [Row(file, classes.index(name), names[name], part) for file, name, part in found]


def _images(folder: Path) -> Iterator[tuple[Path, str]]:
    """Images below each class folder, and the class folder's name, in the order of names."""
    for place in sorted(path for path in visible(folder) if path.is_dir()):
        for file in sorted(place.rglob("*")):
            if file.suffix.lower() in IMAGES and not file.name.startswith("."):
                yield file, place.name


def _class_names(folder: Path, classes: list[str]) -> dict[str, str]:
    """Folder -> name: `classnames.txt` has a line each of folder, space, name; or just as many names, in order."""
    file = folder / "classnames.txt"
    if not file.is_file():
        return {name: name for name in classes}
    given = lines(file)
    pairs = dict(line.split(" ", 1) for line in given if " " in line)
    if set(classes) <= set(pairs):
        return pairs
    if len(given) == len(classes):
        return dict(zip(classes, given, strict=True))
    raise SplitError(
        f"{file} has {len(given)} lines for {len(classes)} class folders. Expected one name for each folder in "
        f"alphabetical order, or lines of folder, space, name for each of: {', '.join(classes[:5])} ..."
    )


def _csv(file: Path) -> Iterator[tuple[int, dict]]:
    with open(file, newline="", encoding="utf-8-sig", errors="replace") as text:
        reader = csv.DictReader(text)
        try:
            yield from ((reader.line_num, row) for row in reader)
        except csv.Error as error:
            raise SplitError(f"{file}, line {reader.line_num}: this is no csv ({error})") from error


def _jsonl(file: Path) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if line.strip():
            try:
                yield number, dict(json.loads(line))
            except (ValueError, TypeError, RecursionError) as error:
                raise SplitError(f"{file}, line {number}: expected a JSON object ({error})") from error


def _numbered(folder: Path, manifest: Path, entries: list[tuple[int, dict]]) -> list[Row]:
    """Rows of a manifest. Without a `label` classes are numbered alphabetically by name, without a name named by label.

    Labels may be any whole numbers or words; they are numbered from 0 in their order.
    """
    found = []
    for number, entry in entries:
        path = entry.get("path") or entry.get("impath")
        label, name = (str(value) if (value := entry.get(key)) is not None else "" for key in ("label", "classname"))
        part = str(entry.get("split") or "").strip().lower()
        if not path or not (label or name) or (part and part not in PARTS):
            raise SplitError(
                f"{manifest}, line {number}: expected path, label or classname, and as split nothing or one of "
                f"{', '.join(PARTS)}; found {entry}"
            )
        file = folder / str(path)
        if not file.is_file():
            raise MissingFile(f"{manifest}, line {number}: there is no image {file}")
        found.append((file, label or name, name or label, PARTS.get(part, "")))
    if not found:
        raise SplitError(f"{manifest} names no images")
    labels = {label for _, label, _, _ in found}
    order = sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels)
    number_of = {label: number for number, label in enumerate(order)}
    return [Row(file, number_of[label], name, part) for file, label, name, part in found]
