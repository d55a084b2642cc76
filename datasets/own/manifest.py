"""Lists of images in a file: CSV, TSV, JSON and JSON lines with any of the usual headings."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dassl.data.class_names import ClassNamesError, check_names, read_text, spoken
from datasets.base.missing import few
from datasets.own.locate import locate
from datasets.own.names import name_classes
from datasets.own.parts import parts_of
from datasets.own.table import OwnDataError, Row, Table

ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
PATH = ("path", "impath", "filename", "filepath", "image", "imagepath", "imagefile", "imagefilename", "imagename",
        "img", "imgpath", "imgname", "imgfile", "file", "relativepath", "imageid", "imgid", "id")  # fmt: skip
LABEL = ("label", "class", "category", "target", "labelid", "classid", "categoryid", "classindex", "labelindex", "y",
         "species", "breed", "labels")  # fmt: skip
NAME = ("classname", "labelname", "categoryname", "labeltext", "name", "speciesname")
PART = ("split", "part", "subset", "set", "partition", "phase", "usage", "fold")
"""Headings, compared without case, blanks, `_` and `-`. The first that is there counts."""


class Entry(NamedTuple):
    """A line of a list: where it stands, and its cells by heading."""

    place: str
    cells: Mapping[str, Any]


class Heads(NamedTuple):
    """The headings that a list uses; None where it has none of a kind."""

    path: str | None
    label: str | None
    name: str | None
    part: str | None


class Line(NamedTuple):
    """An entry understood."""

    path: str
    label: str
    name: str
    part: str
    place: str


def read_manifest(files: list[Path], root: Path, allow: Collection[str] = ()) -> Table:
    """Read the images that one or several lists name.

    Args:
        files: lists; those of several parts are named for them (`train.csv`, `test.csv`).
        root: folder that relative paths start from; the list's own folder is tried too.

    Raises:
        OwnDataError: a line is not understood, one label has several names, or the paths fit nothing.
        dassl.data.class_names.ClassNamesError: the list is not UTF-8 text, or names are the same in words.
        FileNotFoundError: images are missing; the message counts them.
    """
    table = Table(root, [])
    by_file = parts_of([file.stem for file in files]) if len(files) > 1 else {}
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for file in files:
        entries = list(read_entries(file))
        heads = heads_of(entries)
        if not heads.path or not (heads.label or heads.name):
            raise OwnDataError(
                f"{file}: expected the headings path (or file_name, image, ...) and label (or class, classname, "
                f"category, ...), and perhaps split; found {few(_headings(entries), 12)}."
            )
        columns = {"path": heads.path, "label": heads.label, "name": heads.name, "part": heads.part}
        used = ", ".join(f"{kind} from {head!r}" for kind, head in columns.items() if head)
        table.rules.append(f"list: {file.name}, {len(entries):,} lines; {used}")
        words = parts_of({_text(entry.cells.get(heads.part)).strip() for entry in entries} if heads.part else ())
        lines = [_line(entry, heads, file, by_file.get(file.stem, ""), words) for entry in entries]
        paths, rule = locate([line.path for line in lines], [line.place for line in lines], root, file.parent)
        table.rules += [rule] if rule else []
        for path, line in zip(paths, lines, strict=True):
            table.rows.append(Row(path, line.label, line.part, line.place))
            names[line.label].setdefault(line.name, line.place)
    if by_file:
        table.rules.append("parts: by the lists' names, " + ", ".join(f"{f} is {part}" for f, part in by_file.items()))
    given = _one_name_each(names, files[0])
    table.names, rule = name_classes(names, files[0].parent, given)
    table.rules.append(rule)
    return table


def is_manifest(file: Path) -> bool:
    """Return True for a file that lists images with labels."""
    if file.suffix.lower() not in ENDINGS:
        return False
    try:
        heads = heads_of(list(read_entries(file)))
    except (OwnDataError, ClassNamesError):
        return False
    return bool(heads.path and (heads.label or heads.name))


def read_entries(file: Path) -> Iterator[Entry]:
    """Yield the lines of a list.

    Raises:
        OwnDataError: it is no such list; the message names the line.
    """
    text, kind = read_text(file), file.suffix.lower()
    if kind in (".jsonl", ".ndjson"):
        return _json_lines(text, file)
    if kind == ".json":
        return _json(text, file)
    return _separated(text, file)


def _separated(text: str, file: Path) -> Iterator[Entry]:
    head = text.partition("\n")[0]
    mark = max(("\t", ",", ";", "|"), key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=mark, strict=True)
    try:
        for row in reader:
            if any(cell and str(cell).strip() for cell in row.values()):
                cells = {key: cell for key, cell in row.items() if key is not None}
                yield Entry(f"{file.name}, line {reader.line_num}", cells)
    except csv.Error as error:
        raise OwnDataError(f"{file}, line {reader.line_num}: this is no table of values ({error}).") from error


def _json_lines(text: str, file: Path) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield Entry(f"{file.name}, line {number}", dict(json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                raise OwnDataError(f"{file}, line {number}: expected a JSON object ({error}).") from error


def _json(text: str, file: Path) -> Iterator[Entry]:
    """Yield the entries of a list of objects, of parts of such lists, of path -> label, or of a COCO file."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OwnDataError(f"{file} is no JSON: {error}") from error
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content):
        content = _coco(content, file)
    elif isinstance(content, dict) and content and all(isinstance(value, str | int) for value in content.values()):
        content = [{"path": path, "label": label} for path, label in content.items()]
    elif isinstance(content, dict) and content and len(parts_of(content)) == len(content):
        content = [_in_part(entry, part) for part, rows in content.items() if isinstance(rows, list) for entry in rows]
    elif isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else content
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise OwnDataError(f"{file}: expected a list of objects, each with path and label.")
    for number, entry in enumerate(content, 1):
        yield Entry(f"{file.name}, entry {number}", entry)


def _in_part(entry: Any, part: str) -> Any:
    if isinstance(entry, list) and len(entry) == 3:  # of a split file of the CoOp family
        return {"path": entry[0], "label": entry[1], "classname": entry[2], "split": part}
    return {**entry, "split": part} if isinstance(entry, dict) else entry


def _coco(content: Mapping[str, Any], file: Path) -> list[dict[str, Any]]:
    """Return the images of a COCO file whose annotations give each one category."""
    try:
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
    except (KeyError, TypeError) as error:
        raise OwnDataError(f"{file} looks like a COCO file, but lacks {error}.") from error


def _headings(entries: list[Entry]) -> list[str]:
    return list(dict.fromkeys(str(key) for entry in entries[:100] for key in entry.cells))


def heads_of(entries: list[Entry]) -> Heads:
    """Return which headings of a list mean what."""
    plain: dict[str, str] = {}
    for heading in _headings(entries):
        plain.setdefault("".join(c for c in heading.lower() if c.isalnum()), heading)

    def first(words: tuple[str, ...], taken: Collection[str | None] = ()) -> str | None:
        return next((plain[word] for word in words if word in plain and plain[word] not in taken), None)

    label = first(LABEL)
    path = first(PATH, (label,))
    name = first(NAME, (path, label))
    part = first(PART)
    fold = part is not None and all(str(entry.cells.get(part) or "").strip().isdecimal() for entry in entries)
    return Heads(path, label, name, None if fold else part)  # folds of a cross-validation are no parts


def _line(entry: Entry, heads: Heads, file: Path, part: str, words: Mapping[str, str]) -> Line:
    """Understand an entry; `part` is its file's, `words` what the list's words for parts mean."""
    cells = {kind: _text(entry.cells.get(head)) if head else "" for kind, head in heads._asdict().items()}
    given = cells["part"].strip()
    if given:
        part = words.get(given, "")
    label = cells["label"] or cells["name"]
    if not cells["path"].strip() or not label.strip() or (given and not part):
        expected = "split nothing or one of train, val, test" if given and not part else "path and label"
        raise OwnDataError(
            f"{file.parent / entry.place}: expected {expected}; found {dict(entry.cells)}. "
            f"Fill in what is missing, or remove the line."
        )
    return Line(cells["path"].strip(), label, cells["name"] or label, part, entry.place)


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _one_name_each(names: Mapping[str, Mapping[str, str]], file: Path) -> dict[str, str] | None:
    """Return label -> name, None where labels are their own names.

    Raises:
        OwnDataError: a label has two names, or two labels have names that are the same in words.
    """
    for label, given in names.items():
        if len(given) > 1:
            several = "; ".join(f"{name!r} ({place})" for name, place in list(given.items())[:3])
            raise OwnDataError(f"{file}: label {label!r} has {len(given)} names: {several}. Give it one.")
    single = {label: next(iter(given.items())) for label, given in names.items()}
    check_names([name for name, _ in single.values()], str(file), [place for _, place in single.values()])
    outer = [(name, place) for name, place in single.values() if name != name.strip()]
    if outer:
        raise OwnDataError(f"{file.parent / outer[0][1]}: the name {outer[0][0]!r} begins or ends with a blank.")
    given = {label: name for label, (name, _) in single.items()}
    return None if all(spoken(label) == spoken(name) for label, name in given.items()) else given
