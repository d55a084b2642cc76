"""Names of classes: one way to compare, check, read and order them, for training, prediction, demo and export."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import ftfy

from safeio.read_back import DamagedFile, read_back


class ClassNamesError(DamagedFile):
    """A list of class names that cannot be used; the message has the lines and what is wrong with them."""


def spoken(name: str) -> str:
    """Return a name as the tokenizer reads it: underscores are spaces, case and repeated spaces do not count."""
    text = html.unescape(html.unescape(ftfy.fix_text(name)))
    return " ".join(text.replace("_", " ").split()).lower()


def composed(name: str) -> str:
    """Return a name with each accent and its letter as one character; macOS keeps them apart in names of files."""
    return unicodedata.normalize("NFC", name)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sorting key under which `2` comes before `10`, and otherwise text order holds."""
    parts = re.findall(r"\d+|\D+", name, re.ASCII)
    return [(0, int(part) if len(part) < 19 else 10**18, part) if part.isdecimal() else (1, 0, part) for part in parts]


def check_names(names: Sequence[str], source: str, places: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names without outer spaces.

    Args:
        source: what the names are from, for messages.
        places: where each name stands, such as `line 3`; positions by default.

    Raises:
        ClassNamesError: there are none, one is empty or of undecodable bytes, or two are the same in words.
    """
    if not any(map(spoken, names)):
        raise ClassNamesError(f"There are no class names in {source}.")
    places = places or [f"name {number}" for number in range(1, len(names) + 1)]
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        if not decodable(name):
            raise ClassNamesError(
                f"{source}, {places[position]}: the class name {printable(name)} is not readable text (not UTF-8). "
                f"Rename it, or save the file as UTF-8."
            )
        if not spoken(name):
            raise ClassNamesError(f"{source}, {places[position]}: the class name is empty.")
        other = first.setdefault(spoken(name), position)
        if other != position:
            written = name != names[other] and composed(name) == composed(names[other])
            raise ClassNamesError(
                f"{source}: two classes are the same in words, so that nothing can tell them apart: "
                f"{names[other]!r} and {name!r} ({places[other]}; {places[position]}). Give them different names."
                + (" They differ only in how accents are stored (Unicode's NFC and NFD)." if written else "")
            )
    return tuple(name.strip() for name in names)


def decodable(name: str) -> bool:
    """Return False for a name with bytes that are no UTF-8, or with the sign that stands for such bytes."""
    return "\ufffd" not in name and not any("\ud800" <= character <= "\udfff" for character in name)


def printable(name: str) -> str:
    """Return a name in quotes, its undecodable bytes as escapes."""
    return repr(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def read_text(path: str | Path) -> str:
    """Read a text file, UTF-8 with or without a mark at its start.

    Raises:
        ClassNamesError: it cannot be read or is in another encoding; the message names the line.
        MissingFile: there is none.
    """
    return read_back(path, _decoded, "Save it as UTF-8 text.", error_class=ClassNamesError)


def _decoded(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ClassNamesError(f"{path} is UTF-16 text. Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        shown = data.splitlines()[line - 1].decode("utf-8", "backslashreplace")
        raise ClassNamesError(
            f"{path}, line {line}: this is not UTF-8 text ({shown!r}), often Latin-1 or a Windows code page. "
            f"Save the file as UTF-8."
        ) from error


def numbered_lines(path: str | Path) -> list[tuple[int, str]]:
    """Read the lines of a text file that are not blank, without outer spaces, each with its number."""
    lines = enumerate(read_text(path).splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def read_names(path: str | Path) -> tuple[str, ...]:
    """Read class names from a text file, one per line.

    Raises:
        ClassNamesError: as `read_text` and `check_names`.
    """
    found = numbered_lines(path)
    return check_names([name for _, name in found], str(path), [f"line {number}" for number, _ in found])


def positions(names: Iterable[str], trained: Sequence[str]) -> list[int | None]:
    """Return the label of each name among the trained classes; None where it is not one of them."""
    labels: dict[str, int] = {}
    for label, name in enumerate(trained):
        labels.setdefault(spoken(name), label)
    return [labels.get(spoken(name)) for name in names]
