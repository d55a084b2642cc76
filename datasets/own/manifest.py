"""Lists of images in a file, read into a table."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from dassl.data.class_names import check_names, spoken
from datasets.base.missing import few
from datasets.own.entries import ENDINGS, Entry, read_entries
from datasets.own.headings import LABEL, MISSING, SAMPLE, Heads, headings, heads_of, one_hot, split_meanings, text
from datasets.own.locate import locate
from datasets.own.names import name_classes
from datasets.own.split_words import splits_of
from datasets.own.table import OwnDataError, Row, Table
from safeio.errors import UserError
from safeio.images import is_image_name


class Line(NamedTuple):
    """An entry understood."""

    path: str
    label: str
    name: str
    split: str
    place: str


def read_manifest(files: list[Path], root: Path, allow: Collection[str] = ()) -> Table:
    """Read the images that one or several lists name.

    Args:
        files: lists; those of several splits are named for them (`train.csv`, `test.csv`).
        root: folder that relative paths start from; the list's own folder is tried too.

    Raises:
        OwnDataError: a line is not understood, one label has several names, or the paths fit nothing.
        dassl.data.class_names.ClassNamesError: the list is not UTF-8 text, or names are the same in words.
        FileNotFoundError: images are missing; the message counts them.
    """
    table = Table(root, [])
    by_file = splits_of([file.stem for file in files]) if len(files) > 1 else {}
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for file in files:
        entries = list(read_entries(file))
        cells = [entry.cells for entry in entries]
        heads = heads_of(cells)
        if not (heads.label or heads.name) and (labels := one_hot(cells, heads)):
            entries = [Entry(e.place, {**e.cells, LABEL[0]: label}) for e, label in zip(entries, labels, strict=True)]
            heads = heads._replace(label=LABEL[0])
            table.rules.append(f"labels: the column that is 1, of {len(set(labels))} columns of 0 and 1")
        if not heads.path or not (heads.label or heads.name):
            raise OwnDataError(f"{file}: {_wanted(entries)}.")
        table.rules.append(f"list: {file.name}, {len(entries):,} lines; {_columns(heads, headings(cells))}")
        words = split_meanings(cells, heads.split)
        lines = [_line(entry, heads, file, by_file.get(file.stem, ""), words) for entry in entries]
        paths, rule = locate([line.path for line in lines], [line.place for line in lines], root, file.parent)
        table.rules += [rule] if rule else []
        for path, line in zip(paths, lines, strict=True):
            table.rows.append(Row(path, line.label, line.split, line.place))
            names[line.label].setdefault(line.name, line.place)
    if by_file:
        table.rules.append(
            "splits: by the lists' names, " + ", ".join(f"{f} is {split}" for f, split in by_file.items())
        )
    _refuse_several(names, files[0])
    given = _one_name_each(names, files[0])
    table.names, rule = name_classes(names, [files[0].parent], given)
    table.rules.append(rule)
    return table


def is_manifest(file: Path) -> bool:
    """Return True for a file that lists images with labels."""
    return not why_no_manifest(file)


def why_no_manifest(file: Path) -> str:
    """Return the reason why a file is no list of images with labels; empty where it is one."""
    if file.suffix.lower() not in ENDINGS:
        return "it is no csv, tsv, json, jsonl or txt"
    try:
        entries = list(read_entries(file))
        heads = heads_of([entry.cells for entry in entries])
        if not heads.path or not (heads.label or heads.name):
            return "" if one_hot([entry.cells for entry in entries], heads) else _wanted(entries)
        paths = [str(entry.cells.get(heads.path) or "") for entry in entries]
        if paths and not any(map(is_image_name, paths)):  # perhaps names without an ending, perhaps a list of classes
            labels = [str(entry.cells.get(heads.label or heads.name)) for entry in entries]
            if len(set(labels)) == len(labels):
                return "each label is in it once, so that it lists classes"
            locate(paths[:SAMPLE], [""] * len(paths[:SAMPLE]), file.parent, file.parent)
    except (UserError, OSError) as error:
        return str(error).replace(f"{file}", file.name).rstrip(".")
    return ""


def _wanted(entries: list[Entry]) -> str:
    return (
        "expected the headings path (or file_name, image, ...) and label (or class, classname, category, ...), and "
        f"perhaps split; found {few(headings([entry.cells for entry in entries]), 12)}"
    )


def _columns(heads: Heads, found: list[str]) -> str:
    """Say which column is read as what, and which are not."""
    used = ", ".join(f"{kind} from {head!r}" for kind, head in heads._asdict().items() if head)
    unused = [head for head in found if head not in heads]
    return f"{used}; not used: {few([repr(head) for head in unused], 8)}" if unused else used


def _line(entry: Entry, heads: Heads, file: Path, split: str, words: Mapping[str, str]) -> Line:
    """Understand an entry; `split` is the split of its file, `words` what the list's words for splits mean."""
    try:
        cells = {kind: text(entry.cells.get(head)) if head else "" for kind, head in heads._asdict().items()}
    except OwnDataError as error:
        raise OwnDataError(f"{file.parent / entry.place}: {error}") from error
    given = str(entry.cells.get(heads.split) or cells["split"]).strip()
    if given:
        split = words.get(given, "")
    label = cells["label"] or cells["name"]
    if not cells["path"].strip() or label.strip().lower() in MISSING or (given and not split):
        expected = "split nothing or one of train, val, test" if given and not split else "path and label"
        raise OwnDataError(
            f"{file.parent / entry.place}: expected {expected}; found {dict(entry.cells)}. "
            f"Fill in what is missing, or remove the line."
        )
    return Line(cells["path"].strip(), label, cells["name"] or label, split, entry.place)


def _refuse_several(labels: Collection[str], file: Path) -> None:
    """Refuse labels that are several others, as in `cat|dog` beside `cat` and `dog`.

    Raises:
        OwnDataError: there are such labels.
    """
    pieces = {label: [piece.strip() for piece in re.split(r"[|;,]", label)] for label in labels}
    shared = Counter(piece for found in pieces.values() for piece in set(found))
    for label, found in pieces.items():
        of_labels = len(found) > 1 and set(found) <= set(labels)
        if of_labels or ("|" in label and all(shared[piece] > 1 for piece in found)):
            raise OwnDataError(
                f"{file}: the label {label!r} seems to be several, {few(found)}. One label for each image is needed."
            )


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
