"""Lists of class names that a user asks for, by the rules of `dassl.data.class_names`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dassl.data.class_names import ClassNamesError as ClassesError
from dassl.data.class_names import check_names, positions, spoken
from dassl.data.class_names import read_names as read_classes

__all__ = ["ClassesError", "check_classes", "check_labels", "named_classes", "positions", "read_classes"]


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


def check_labels(labels: Iterable[object]) -> list[str]:
    """Return a label for each image as text.

    Raises:
        ClassesError: they are no list, or some are missing, such as NaN of a table with gaps.
    """
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise ClassesError(f"labels is {labels!r:.80}; expected a class name for each image")
    labels = list(labels)
    if missing := [label for label in labels if label is None or label != label]:
        raise ClassesError(f"Every image needs a label; {len(missing)} of {len(labels)} are missing")
    return [str(label) for label in labels]


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
