"""Lists of class names: reading, checking, and telling the trained ones from others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safeio.errors import UserError


class ClassesError(UserError, ValueError):
    """A list of class names that cannot be used; the message names what is wrong with it."""


def spoken(name: str) -> str:
    """What the tokenizer makes of a name: underscores are spaces, case and repeated spaces do not count."""
    return " ".join(name.replace("_", " ").split()).lower()


def check_classes(names: Sequence[str], source: str = "the list of class names") -> tuple[str, ...]:
    """The names without outer spaces; empty ones are left out.

    Raises:
        ClassesError: none is left, or two are the same in words.
    """
    kept = tuple(name.strip() for name in names if spoken(name))
    if not kept:
        raise ClassesError(f"There are no class names in {source}: write one name per line")
    first: dict[str, str] = {}
    for name in kept:
        if spoken(name) in first:
            same = f"{first[spoken(name)]!r} and {name!r}"
            raise ClassesError(f"A class is named twice in {source}: {same} are the same in words. Remove one")
        first[spoken(name)] = name
    return kept


def read_classes(path: str | Path) -> tuple[str, ...]:
    """Class names from a text file, one per line.

    Raises:
        ClassesError: the file is not there or not text; otherwise as `check_classes`.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ClassesError(f"Cannot read class names from {path}: {error}") from error
    return check_classes(lines, str(path))


def positions(names: Sequence[str], trained: Sequence[str]) -> list[int | None]:
    """Label of each name among the trained classes; None where it is not one of them."""
    labels: dict[str, int] = {}
    for label, name in enumerate(trained):
        labels.setdefault(spoken(name), label)
    return [labels.get(spoken(name)) for name in names]
