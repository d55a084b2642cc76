"""Lists of class names that a user asks for, by the rules of `dassl.data.class_names`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dassl.data.class_names import ClassNamesError as ClassesError
from dassl.data.class_names import check_names, positions, spoken
from dassl.data.class_names import read_names as read_classes

__all__ = ["ClassesError", "check_classes", "named_classes", "positions", "read_classes"]


def check_classes(names: Iterable[str], source: str = "the list of class names") -> tuple[str, ...]:
    """Return the names without outer spaces; empty ones are left out.

    Raises:
        ClassesError: it is no list of texts, none is left, one is undecodable, or two are the same in words.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise ClassesError(f"Class names are a list such as ['cat', 'dog'], not {names!r}.")
    names = list(names)
    if strange := [name for name in names if not isinstance(name, str)]:
        raise ClassesError(f"Class names are texts; {strange[0]!r} is none.")
    return check_names([name for name in names if spoken(name)], source)


def named_classes(words: str) -> tuple[str, ...]:
    """Return the class names of an option: a file with one name per line, or names separated by commas.

    Raises:
        ClassesError: no such file, or names that cannot be used.
    """
    if Path(words).is_file():
        return read_classes(words)
    if "," not in words:
        raise ClassesError(f"Cannot read class names from {words}: no such file. Names themselves: 'cat, dog'")
    return check_classes(words.split(","), "the names given")
