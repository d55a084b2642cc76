"""Few-shot choices and lists that other code of the CoOp family wrote: pickles and lines of JSON.

A pickle can run code when it is read. This reader calls nothing in it except an empty record class, which replaces the
one class that such a file needs.
"""

from __future__ import annotations

import pickle
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from safeio.pickle_limits import check_pickle
from safeio.read_back import DamagedFile, parse_json, read_back, reading

LARGEST = 1 << 26  # bytes; 16 shots of 1000 classes are 3 MB
Rows = list[tuple[str, int, str]]  # path relative to the dataset's folder, label, class name


class Foreign(NamedTuple):
    """Content of a split file written by others: rows by split."""

    source: Path
    rows: dict[str, Rows]


class ForeignListError(DamagedFile):
    """The file is not a list of images; the message names it."""


def read_foreign(stem: Path, folder: Path) -> Foreign | None:
    """`<stem>.pkl`, or `<stem>-train.jsonl` with `<stem>-val.jsonl`; None if there is neither.

    Paths may be absolute and from another machine: what follows the dataset folder's name counts.

    Raises:
        ForeignListError: the file holds something else.
    """
    pickled = stem.with_name(stem.name + ".pkl")
    if pickled.is_file():
        with reading(str(pickled), "records with _impath, _label and _classname", ForeignListError):
            parts = {part: [_row(record) for record in records] for part, records in _unpickled(pickled).items()}
        return Foreign(pickled, {part: _rerooted(rows, folder, pickled) for part, rows in parts.items()})
    lists = {part: stem.with_name(f"{stem.name}-{part}.jsonl") for part in ("train", "val")}
    if lists["train"].is_file():
        found = {part: _rerooted(read_jsonl(file), folder, file) for part, file in lists.items() if file.is_file()}
        return Foreign(lists["train"], found)
    return None


def read_jsonl(path: Path) -> Rows:
    """A list with one `{"impath": ..., "label": ..., "classname": ...}` per line.

    Raises:
        ForeignListError: a line is something else; the message says which.
    """
    text = read_back(path, lambda file: file.read_text(encoding="utf-8"), error_class=ForeignListError)
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            with reading(f"{path}, line {number}", "an object with impath, label and classname", ForeignListError):
                entry = parse_json(line)
                rows.append((str(entry["impath"]), int(entry["label"]), str(entry["classname"])))
    return rows


def _rerooted(rows: Rows, folder: Path, source: Path) -> Rows:
    """Paths relative to `folder`, whichever machine they were absolute on."""
    found = []
    for path, label, name in rows:
        parts = PureWindowsPath(path).parts  # splits at both kinds of slash
        if folder.name in parts[:-1]:
            parts = parts[len(parts) - parts[::-1].index(folder.name) :]
        elif PureWindowsPath(path).drive or path.startswith(("/", "\\")):
            raise ForeignListError(f"{source} names {path}, which is not below a folder {folder.name}")
        if ".." in parts:
            raise ForeignListError(f"{source} names {path}, which leaves the dataset's folder")
        found.append(("/".join(parts), label, name))
    return found


def _row(record: Any) -> tuple[str, int, str]:
    state = record.__dict__
    return str(state["_impath"]), int(state["_label"]), str(state["_classname"])


def _unpickled(path: Path) -> dict[str, list[Any]]:
    class Record:  # made anew for each file, so that no file can leave anything on it
        pass

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> type:
            if name != "Datum":
                raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a few-shot choice does not need")
            return Record

    def read(path: Path) -> dict[str, list[Any]]:
        if path.stat().st_size > LARGEST:
            raise ValueError("too many bytes for a few-shot choice")
        with open(path, "rb") as file:
            check_pickle(file)
            file.seek(0)
            content = Reader(file).load()
        lists = content.values() if isinstance(content, dict) else ()
        if not lists or not all(isinstance(part, list) and all(type(r) is Record for r in part) for part in lists):
            raise ValueError("it is no few-shot choice: expected lists of images under train and val")
        return content

    return read_back(path, read, error_class=ForeignListError)
