"""The lines of a list of images in a file: CSV, TSV, text, JSON and JSON lines."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dassl.data.class_names import read_text
from datasets.own.headings import KNOWN, plain
from datasets.own.split_words import splits_of
from datasets.own.table import OwnDataError
from safeio.images import is_image_name
from safeio.read_back import parse_json, reading

ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")


class Entry(NamedTuple):
    """A line of a list: where it stands, and its cells by heading."""

    place: str
    cells: Mapping[str, Any]


def read_entries(file: Path) -> Iterator[Entry]:
    """Yield the lines of a list.

    Raises:
        OwnDataError: it is no such list; the message names the line.
    """
    text, kind = read_text(file), file.suffix.lower()
    if kind in (".json", ".jsonl", ".ndjson"):
        lines = [line for line in text.splitlines() if line.strip()]
        by_line = len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines)
        by_line = by_line or (kind != ".json" and not text.lstrip().startswith("["))
        return _json_lines(text, file) if by_line else _json(text, file)
    return _plain_lines(text, file) if kind == ".txt" else _separated(text, file)


def _separated(text: str, file: Path) -> Iterator[Entry]:
    lines = text.splitlines()
    try:
        mark = max("\t,;|", key=lambda mark: _rank(lines, mark))
        reader = csv.reader(lines, delimiter=mark, strict=True, skipinitialspace=True)
        heads = next(reader, [])
        rows = [(f"{file.name}, line {reader.line_num}", row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise OwnDataError(f"{file}, line {reader.line_num}: this is no table of values ({error}).") from error
    known = [heading for heading in map(plain, heads) if heading in KNOWN]
    if twice := [heading for heading in known if known.count(heading) > 1]:
        raise OwnDataError(f"{file}: two columns are called {twice[0]!r}. Rename one.")
    if not known and any(map(is_image_name, heads)):
        rows, heads = [(f"{file.name}, line 1", heads), *rows], _heads_of_data(heads, file)
    for place, row in rows:
        if len(row) > len(heads) and any(cell.strip() for cell in row[len(heads) :]):
            raise OwnDataError(
                f"{file.parent / place}: {len(row)} values for {len(heads)} headings. Put a value that holds {mark!r} "
                f'in quotes: "a{mark} b".'
            )
        yield Entry(place, dict(zip(heads, [*row, *[""] * len(heads)], strict=False)))


def _rank(lines: list[str], mark: str) -> tuple[int, int]:
    """Return how many headings are known, and how many there are, if this sign stands between the values."""
    head = next(csv.reader(lines[:1], delimiter=mark, skipinitialspace=True), [])
    return sum(plain(heading) in KNOWN for heading in head), len(head)


def _heads_of_data(row: list[str], file: Path) -> list[str]:
    """Return headings for a list without any, which has two columns, one of them images.

    Raises:
        OwnDataError: it has others.
    """
    images = [is_image_name(cell) for cell in row]
    if len(row) == 2 and sum(images) == 1:
        return ["path", "label"] if images[0] else ["label", "path"]
    raise OwnDataError(
        f"{file}: the first line is no line of headings, but already an image: {', '.join(row)[:80]}. Put headings "
        f"above it, such as path,label or path,label,split."
    )


def _plain_lines(text: str, file: Path) -> Iterator[Entry]:
    """Yield the lines of a text file of `path label`, as in Caffe's lists; a TAB or comma may stand between them."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        path, label = _path_and_label(line.strip())
        if not label or not is_image_name(path):
            raise OwnDataError(
                f"{file}, line {number}: expected an image's path and its label, such as cats/1.jpg 0; found "
                f"{line.strip()[:80]!r}."
            )
        yield Entry(f"{file.name}, line {number}", {"path": path, "label": label})


def _path_and_label(line: str) -> tuple[str, str]:
    """Return what is before and after the first TAB, comma or semicolon, or else the last space; empty without one."""
    mark = re.search(r"[\t,;]", line)
    if mark and (label := line[mark.end() :].strip()):
        return line[: mark.start()].strip(), label
    path, *label = line.rsplit(None, 1)
    return path, label[0] if label else ""


def _json_lines(text: str, file: Path) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            with reading(f"{file}, line {number}", "a JSON object", OwnDataError):
                entry = dict(parse_json(line))
            yield Entry(f"{file.name}, line {number}", entry)


def _json(text: str, file: Path) -> Iterator[Entry]:
    """Yield the entries of a list of objects or of [path, label], of splits of these, or of another usual object."""
    with reading(str(file), "a list of objects, each with path and label", OwnDataError):
        content = parse_json(text)
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content):
        content = _coco(content, file)
    elif isinstance(content, dict) and content and len(splits_of(content)) == len(content):
        content = [
            {**entry, "split": split} if isinstance(entry, dict) else entry
            for split, rows in content.items()
            for entry in _objects(rows)
        ]
    else:
        content = _objects(content)
    if not all(isinstance(entry, dict) for entry in content):
        raise OwnDataError(f"{file}: expected a list of objects, each with path and label.")
    for number, entry in enumerate(content, 1):
        yield Entry(f"{file.name}, entry {number}", entry)


def _objects(content: Any) -> list[Any]:
    """Return the entries in a list, in an object that holds one list, of path -> label, or of label -> paths."""
    if isinstance(content, dict):
        values = list(content.values())
        lists = [value for value in values if isinstance(value, list)]
        if values and all(isinstance(value, str | int) for value in values):
            content = [[path, label] for path, label in content.items()]
        elif len(lists) == len(values) > 1 and all(is_image_name(str(path)) for paths in lists for path in paths):
            content = [[path, label] for label, paths in content.items() for path in paths]
        else:
            content = lists[0] if len(lists) == 1 else [content]
    if not isinstance(content, list):
        return [content]
    keys = {2: ("path", "label"), 3: ("path", "label", "classname")}  # three: of a split file of the CoOp family
    pairs = [isinstance(entry, list) and len(entry) in keys for entry in content]
    return [
        dict(zip(keys[len(entry)], entry, strict=True)) if pair else entry
        for entry, pair in zip(content, pairs, strict=True)
    ]


def _coco(content: Mapping[str, Any], file: Path) -> list[dict[str, Any]]:
    """Return the images of a COCO file whose annotations give each one category."""
    with reading(str(file), "a COCO file, which has images, annotations and categories", OwnDataError):
        names = {category["id"]: category["name"] for category in content["categories"]}
        labels = defaultdict(set)
        for annotation in content["annotations"]:
            labels[annotation["image_id"]].add(annotation["category_id"])
        several = [image["file_name"] for image in content["images"] if len(labels[image["id"]]) > 1]
        if several:
            raise OwnDataError(
                f"{file}: {len(several)} images have several categories, such as {several[0]}. One label per image is "
                f"needed."
            )
        return [
            {"path": image["file_name"], "label": label, "classname": names[label]}
            for image in content["images"]
            for label in labels[image["id"]]
        ]
