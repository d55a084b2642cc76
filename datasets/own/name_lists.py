"""Lists of class names that come with a dataset: `classes.txt`, `labels.txt`, `words.txt`, `cat_to_name.json`, ...

The content of such a file is not specified, so it is used only if its lines can mean one thing. `classnames.txt`, which
is made for this project, is read by `datasets.own.names`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dassl.data.class_names import check_names, numbered_lines, read_text, spoken
from safeio.errors import UserError
from safeio.read_back import parse_json, read_back

CORE = {"class", "classes", "classname", "classnames", "label", "labels", "labelmap", "name", "names", "category",
        "categories", "cat", "words", "synset", "synsets", "wnids", "signnames", "breeds", "species"}  # fmt: skip
BESIDE = {"list", "map", "mapping", "to", "idx", "index", "indices", "id", "ids", "imagenet", "loc", "readable",
          "human", "dict", "dictionary", "all", "the", "of", "my"}  # fmt: skip
"""Words that the names of such files are made of, at least one from CORE."""
WORDNET = re.compile(r"n\d{8}")
LARGEST = 1 << 20
"""Bytes of a file that may be a list of names."""


class Line(NamedTuple):
    """A line of a list: its number, all of it, and what is before and after the first mark; empty without one."""

    number: int
    whole: str
    first: str = ""
    rest: str = ""
    explicit: bool = False  # the mark can be nothing else: a TAB, or a key of JSON


def is_name_list(file: Path) -> bool:
    """Return True for a file whose name says that it lists the names of classes."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", file.stem)]
    known = bool(CORE & set(words)) and set(words) <= CORE | BESIDE
    return known and file.suffix.lower() in (".txt", ".json", ".csv", ".tsv") and file.stat().st_size <= LARGEST


def is_number_map(keys: list[str], file: Path) -> bool:
    """Return True for a JSON file of any name that says in words what each of these numbers is, and nothing more."""
    if file.suffix.lower() != ".json" or file.stat().st_size > LARGEST or not all(key.isdecimal() for key in keys):
        return False
    try:
        content = read_back(file, _json)
    except UserError:
        return False
    words = isinstance(content, dict) and all(isinstance(v, str) and not v.isdecimal() for v in content.values())
    return words and set(content) == set(keys)


def read_name_list(keys: list[str], file: Path) -> tuple[dict[str, str], str] | None:
    """Return class key -> name, and a sentence that says how the list was read; None: it fits the classes in no way.

    Args:
        keys: class keys, such as folder names, in the order of labels.

    Raises:
        dassl.data.class_names.ClassNamesError: it does, but two names are the same in words.
    """
    try:
        lines = read_back(file, _lines)
    except UserError:
        return None
    numbers = [line.rest for line in lines if line.explicit]
    if all(key.isdecimal() for key in keys) and set(numbers) == set(keys) and len(numbers) == len(keys) == len(lines):
        pairs = {line.rest: line._replace(first=line.rest, rest=line.first) for line in lines}  # {"cat": 0, "dog": 1}
        return _checked({key: pairs[key] for key in keys}, file), f"names: {file.name}, a number for each name"
    same = {spoken(key) for key in keys}
    repeats = [[spoken(line.whole) for line in lines], [spoken(line.rest) for line in lines if line.first.isdecimal()]]
    if any(len(found) == len(keys) and set(found) == same for found in repeats):
        return {key: key for key in keys}, f"names: those of the folders, which {file.name} repeats"
    pairs = {line.first: line for line in lines if line.rest and (line.explicit or _is_code(line.first))}
    if set(keys) <= set(pairs):
        if all(pairs[key].rest.isdecimal() for key in keys):
            return {key: key for key in keys}, f"names: those of the folders, which {file.name} numbers"
        return _checked({key: pairs[key] for key in keys}, file), f"names: {file.name}, a line for each folder"
    if len(lines) == len(keys) and all(key.isdecimal() for key in keys) and not any(line.explicit for line in lines):
        in_order = {key: line._replace(rest=line.whole) for key, line in zip(keys, lines, strict=True)}
        return _checked(in_order, file), f"names: {file.name}, a name for each number in that order"
    return None


def _is_code(word: str) -> bool:
    """Return True for what can be no word of a name: a number, `n01440764`, `001.ak47`."""
    return any(character.isdigit() for character in word)


def _checked(pairs: dict[str, Line], file: Path) -> dict[str, str]:
    """Return the names; of WordNet's synonyms the first, or all where the first ones of two classes are the same."""
    names = {key: line.rest for key, line in pairs.items()}
    if all(WORDNET.fullmatch(key) for key in pairs):
        first = {key: name.split(",")[0].strip() for key, name in names.items()}
        in_words = [spoken(name) for name in first.values()]
        names = {key: name if in_words.count(spoken(name)) == 1 else names[key] for key, name in first.items()}
    check_names(list(names.values()), str(file), [f"line {line.number}" for line in pairs.values()])
    return names


def _json(file: Path) -> Any:
    return parse_json(read_text(file))


def _lines(file: Path) -> list[Line]:
    kind = file.suffix.lower()
    if kind == ".json":
        return list(_of_json(_json(file)))
    if kind in (".csv", ".tsv"):
        rows = list(csv.reader(read_text(file).splitlines(), delimiter="," if kind == ".csv" else "\t", strict=True))
        return [Line(n, ",".join(row), *_cells(row), explicit=True) for n, row in enumerate(rows, 1) if any(row)]
    return [Line(number, line, *_apart(line), explicit="\t" in line) for number, line in numbered_lines(file)]


def _cells(row: list[str]) -> tuple[str, str]:
    return (row[0].strip(), row[1].strip()) if len(row) == 2 else ("", "")


def _apart(line: str) -> tuple[str, str]:
    """Return what is before and after the TAB of a line or, without one, its first blank, colon or comma."""
    first, _, rest = line.partition("\t") if "\t" in line else re.fullmatch(r"([^\s:,]+)([\s:,]*)(.*)", line).groups()
    return first.strip(), rest.strip()


def _of_json(content: object) -> Iterable[Line]:
    """Yield a list of names, key -> name, or ImageNet's number -> [key, name]."""
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        yield from (Line(number, name) for number, name in enumerate(content, 1))
    for number, (key, value) in enumerate(content.items() if isinstance(content, dict) else (), 1):
        if isinstance(value, list) and len(value) == 2:
            key, value = value
        if not isinstance(value, str | int):
            raise ValueError("no list of names")
        yield Line(number, str(value), str(key), str(value), explicit=True)
