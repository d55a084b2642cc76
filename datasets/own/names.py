"""Names for class folders and labels: `classnames.txt`, a list that came with the data, or the folders' own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from dassl.data.class_names import ClassNamesError, check_names, composed, natural_key, numbered_lines, spoken
from datasets.own.name_lists import is_name_list, is_number_map, read_name_list
from datasets.own.table import OwnDataError

NAMES_FILE = "classnames.txt"
"""The list that is made for this project; one that does not fit the classes is refused."""
NUMBERED = re.compile(r"\d+[\W_]|n\d{8}\b")
"""Beginning of folders that are sorted by a number: `001.ak47`, `n02085620-Chihuahua`."""

Pairs = dict[str, tuple[str, int]]


def ordered(labels: Iterable[str]) -> list[str]:
    """Return class keys in the order of their labels: by number where all are numbers, else in natural order."""
    found = set(labels)
    numbers = all(label.isascii() and label.isdecimal() and len(label) < 19 for label in found)
    return sorted(found, key=lambda label: (int(label), label)) if numbers else sorted(found, key=natural_key)


def name_classes(
    labels: Iterable[str], folders: Sequence[Path], given: Mapping[str, str] | None = None
) -> tuple[dict, str]:
    """Name the classes.

    Args:
        labels: class keys, such as folder names.
        folders: where a list of names may lie, the likeliest place first.
        given: names that the data itself has; a list of names beside them is then not used.

    Returns:
        Class key -> name in the order of labels, and a sentence that says where the names are from.

    Raises:
        OwnDataError: a list of names fits in no way, or in two.
        dassl.data.class_names.ClassNamesError: names that are empty, undecodable, or the same in words.
    """
    keys = ordered(labels)
    _refuse_alike(keys, folders[0])
    if given:
        names = {key: given[key] for key in keys}
        check_names(list(names.values()), str(folders[0]), [f"label {key}" for key in keys])
        return names, "names: as given with the images"
    for folder in folders:
        if (folder / NAMES_FILE).is_file():
            return _from_names_file(keys, folder / NAMES_FILE)
    lists = (file for folder in folders for file in sorted(folder.iterdir()) if file.is_file())
    lists = (file for file in lists if is_name_list(file) or is_number_map(keys, file))
    readings = [found for file in lists if (found := read_name_list(keys, file))]
    own = {key: key.strip() for key in keys}, "names: those of the folders or labels, in natural order"
    naming = (found for found in readings if found[0] != own[0])
    names, rule = next(naming, (readings or [own])[0])  # one that names the classes goes before one that repeats them
    check_names(list(names.values()), str(folders[0]), [f"class {number}" for number in range(1, len(keys) + 1)])
    return names, rule + _note_numbers(names.values())


def _refuse_alike(keys: Collection[str], place: Path) -> None:
    """Refuse labels that are one number, written in two ways: `1` and `01`.

    Raises:
        OwnDataError: there are such labels.
    """
    first: dict[int, str] = {}
    for key in keys:
        if key.isascii() and key.isdecimal() and first.setdefault(int(key), key) != key:
            raise OwnDataError(
                f"{place}: {first[int(key)]!r} and {key!r} are the same number, and would be two classes. Write it in "
                f"one way."
            )


def _note_numbers(names: Collection[str]) -> str:
    """Advise where the names hold numbers, which the method would read as words of the class."""
    numbers = [name for name in names if name.isdecimal()]
    if len(numbers) == len(names):
        return f". These are numbers: give names, one a line, in {NAMES_FILE}."
    if numbers:
        return (
            f". Some of them are numbers, such as {numbers[0]!r}, the others words: is one class written in two ways?"
        )
    numbered = [name for name in names if NUMBERED.match(name)]
    if len(numbered) < len(names):
        return "."
    return (
        f". They begin with numbers, as in {numbered[0]!r}, which become part of the prompt: better names in "
        f"{NAMES_FILE}."
    )


def _from_names_file(keys: list[str], file: Path) -> tuple[dict[str, str], str]:
    """Read `folder TAB name` lines, `folder name` lines where they can be nothing else, or a name for each folder."""
    lines = numbered_lines(file)
    if any("\t" in line for _, line in lines):
        pairs = _pairs(lines, "\t", file)
        if missing := [key for key in keys if composed(key) not in pairs]:
            raise OwnDataError(f"{file} has no line for {len(missing)} classes: {', '.join(missing[:5])}.")
        named = {key: pairs[composed(key)] for key in keys}
        return _checked(named, file), f"names: {file.name}, lines of folder, TAB, name"
    if marks := _other_marks(keys, lines):
        raise OwnDataError(
            f"{file}: every line begins with a folder and {marks!r}, as in {lines[0][1]!r}. Write a TAB in its "
            f"place: folder, TAB, name."
        )
    if len(lines) == len(keys) and {spoken(line) for _, line in lines} == {spoken(key) for key in keys}:
        return {key: key for key in keys}, f"names: those of the folders, which {file.name} repeats"
    in_order = {key: (name, number) for key, (number, name) in zip(keys, lines, strict=False)}
    by_order = in_order if len(lines) == len(keys) else None
    by_word = _spaced_pairs(keys, lines, file)
    if by_word and by_order and not _says_pairs(keys, lines):
        raise OwnDataError(
            f"{file} can be read in two ways: as lines of folder, name ({by_word[keys[0]][0]!r} for {keys[0]}), or as "
            f"names in the order of folders ({by_order[keys[0]][0]!r}). Write a TAB between folder and name for the "
            f"first; for the second, give lines of folder, TAB, whole name."
        )
    if by_word:
        return _checked(by_word, file), f"names: {file.name}, lines of folder, space, name"
    if by_order:
        _refuse_shifted(by_order, file)
        return _checked(by_order, file), f"names: {file.name}, a name for each folder in natural order"
    raise OwnDataError(
        f"{file} has {len(lines)} lines for {len(keys)} class folders. Expected one name for each folder in natural "
        f"order, or lines of folder, TAB, name for each of: {', '.join(keys[:5])} ..."
    )


def _refuse_shifted(names: Pairs, file: Path) -> None:
    """Refuse a list in the order of folders that gives one folder the name of another.

    Raises:
        OwnDataError: the message has both folders and the line.
    """
    folders = {spoken(key): key for key in names}
    for key, (name, number) in names.items():
        if (other := folders.get(spoken(name), key)) != key:
            raise OwnDataError(
                f"{file}, line {number}: {name!r} would name the folder {key!r}, but there is a folder {other!r}. Put "
                f"the names in the order of the folders ({', '.join(list(names)[:5])}, ...), or give lines of folder, "
                f"TAB, name."
            )


def _other_marks(keys: list[str], lines: list[tuple[int, str]]) -> str:
    """Return the sign that stands between folder and name in every line; empty where there is none."""
    found = [re.split(r"([,;:=|])", line, maxsplit=1) for _, line in lines]
    pairs = [parts for parts in found if len(parts) == 3 and parts[0].strip() in keys and parts[2].strip()]
    marks = {mark for _, mark, _ in pairs}
    return marks.pop() if len(pairs) == len(lines) and len(marks) == 1 else ""


def _says_pairs(keys: list[str], lines: list[tuple[int, str]]) -> bool:
    """Return True where lines can only be pairs: folders are codes such as n01440764, or stand in another order."""
    first = [line.split(" ", 1)[0] for _, line in lines]
    return first != keys or all(any(c.isdigit() for c in key) for key in keys)


def _spaced_pairs(keys: list[str], lines: list[tuple[int, str]], file: Path) -> Pairs | None:
    """Return `folder name` lines as pairs, None where they do not cover the folders or make two names the same."""
    spaced = [(number, line) for number, line in lines if " " in line]
    try:
        pairs = _pairs(spaced, " ", file)
    except ClassNamesError:
        return None
    if not {composed(key) for key in keys} <= set(pairs):
        return None
    names = [spoken(pairs[composed(key)][0]) for key in keys]
    return {key: pairs[composed(key)] for key in keys} if len(set(names)) == len(names) else None


def _pairs(lines: Iterable[tuple[int, str]], mark: str, file: Path) -> Pairs:
    found: Pairs = {}
    for number, line in lines:
        folder, _, name = (word.strip() for word in line.partition(mark))
        folder = composed(folder)
        if not name:
            raise ClassNamesError(f"{file}, line {number}: expected folder, TAB, name; found {line!r}.")
        if folder in found:
            raise ClassNamesError(f"{file}: {folder} is named twice, in lines {found[folder][1]} and {number}.")
        found[folder] = (name, number)
    return found


def _checked(names: Pairs, file: Path) -> dict[str, str]:
    check_names([name for name, _ in names.values()], str(file), [f"line {number}" for _, number in names.values()])
    return {key: name for key, (name, _) in names.items()}
