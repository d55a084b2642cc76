"""Names for class folders and labels: `classnames.txt`, `words.txt`, or the folders' own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from dassl.data.class_names import ClassNamesError, check_names, natural_key, numbered_lines, spoken
from datasets.own.table import OwnDataError

NAMES_FILE = "classnames.txt"
WORDS_FILE = "words.txt"
"""ImageNet's and Tiny-ImageNet's list: folder, TAB, names with commas between them."""

Pairs = dict[str, tuple[str, int]]


def ordered(labels: Iterable[str]) -> list[str]:
    """Return class keys in the order of their labels: by number where all are numbers, else in natural order."""
    found = set(labels)
    numbers = all(label.isascii() and label.isdecimal() and len(label) < 19 for label in found)
    return sorted(found, key=lambda label: (int(label), label)) if numbers else sorted(found, key=natural_key)


def name_classes(labels: Iterable[str], folder: Path, given: Mapping[str, str] | None = None) -> tuple[dict, str]:
    """Name the classes.

    Args:
        labels: class keys, such as folder names.
        folder: where a list of names may lie.
        given: names that the data itself has; a list of names beside them is then not used.

    Returns:
        Class key -> name in the order of labels, and a sentence that says where the names are from.

    Raises:
        OwnDataError: a list of names fits in no way, or in two.
        dassl.data.class_names.ClassNamesError: names that are empty, undecodable, or the same in words.
    """
    keys = ordered(labels)
    if given:
        names = {key: given[key] for key in keys}
        check_names(list(names.values()), str(folder), [f"label {key}" for key in keys])
        return names, "names: as given with the images"
    if (folder / NAMES_FILE).is_file():
        return _from_names_file(keys, folder / NAMES_FILE)
    if (folder / WORDS_FILE).is_file() and (words := _from_words_file(keys, folder / WORDS_FILE)):
        return words, f"names: the first in {WORDS_FILE} for each folder"
    check_names(keys, str(folder), [f"class {number}" for number in range(1, len(keys) + 1)])
    note = " These are numbers: give names, one a line, in classnames.txt." if _all_numbers(keys) else ""
    return {key: key for key in keys}, f"names: those of the folders or labels, in natural order.{note}"


def _all_numbers(keys: Collection[str]) -> bool:
    return all(key.isdecimal() for key in keys)


def _from_names_file(keys: list[str], file: Path) -> tuple[dict[str, str], str]:
    """Read `folder TAB name` lines, `folder name` lines where they can be nothing else, or a name for each folder."""
    lines = numbered_lines(file)
    if any("\t" in line for _, line in lines):
        pairs = _pairs(lines, "\t", file)
        if missing := [key for key in keys if key not in pairs]:
            raise OwnDataError(f"{file} has no line for {len(missing)} classes: {', '.join(missing[:5])}.")
        return _checked({key: pairs[key] for key in keys}, file), f"names: {file.name}, lines of folder, TAB, name"
    if marks := _other_marks(keys, lines):
        raise OwnDataError(
            f"{file}: every line begins with a folder and {marks!r}, as in {lines[0][1]!r}. Write a TAB in its "
            f"place: folder, TAB, name."
        )
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
        return _checked(by_order, file), f"names: {file.name}, a name for each folder in natural order"
    raise OwnDataError(
        f"{file} has {len(lines)} lines for {len(keys)} class folders. Expected one name for each folder in natural "
        f"order, or lines of folder, TAB, name for each of: {', '.join(keys[:5])} ..."
    )


def _other_marks(keys: list[str], lines: list[tuple[int, str]]) -> str:
    """Return the sign that stands between folder and name in every line; empty where there is none."""
    found = [re.fullmatch(r"(.+?)\s*([,;:=|])\s*(.+)", line) for _, line in lines]
    pairs = [match for match in found if match and match[1] in keys]
    marks = {match[2] for match in pairs}
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
    if not set(keys) <= set(pairs):
        return None
    names = [spoken(pairs[key][0]) for key in keys]
    return {key: pairs[key] for key in keys} if len(set(names)) == len(names) else None


def _pairs(lines: Iterable[tuple[int, str]], mark: str, file: Path) -> Pairs:
    found: Pairs = {}
    for number, line in lines:
        folder, _, name = (word.strip() for word in line.partition(mark))
        if not name:
            raise ClassNamesError(f"{file}, line {number}: expected folder, TAB, name; found {line!r}.")
        if folder in found:
            raise ClassNamesError(f"{file}: {folder} is named twice, in lines {found[folder][1]} and {number}.")
        found[folder] = (name, number)
    return found


def _checked(names: Pairs, file: Path) -> dict[str, str]:
    check_names([name for name, _ in names.values()], str(file), [f"line {number}" for _, number in names.values()])
    return {key: name for key, (name, _) in names.items()}


def _from_words_file(keys: list[str], file: Path) -> dict[str, str] | None:
    """Return the first of each folder's synonyms, all of them where the first ones are the same; None: not a list."""
    synonyms = {}
    for _, line in numbered_lines(file):
        folder, tab, names = line.partition("\t")
        if tab:
            synonyms[folder.strip()] = names.strip()
    if not set(keys) <= set(synonyms):
        return None
    first = {key: synonyms[key].split(",")[0].strip() for key in keys}
    in_words = [spoken(name) for name in first.values()]
    names = {key: name if in_words.count(spoken(name)) == 1 else synonyms[key] for key, name in first.items()}
    check_names(list(names.values()), str(file), [f"folder {key}" for key in keys])
    return names
