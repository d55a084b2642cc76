"""Lists of class names that a user asks for, by the rules of `dassl.data.class_names`."""

from __future__ import annotations

from collections.abc import Sequence

from dassl.data.class_names import ClassNamesError as ClassesError
from dassl.data.class_names import check_names, positions, spoken
from dassl.data.class_names import read_names as read_classes

__all__ = ["ClassesError", "check_classes", "positions", "read_classes"]


def check_classes(names: Sequence[str], source: str = "the list of class names") -> tuple[str, ...]:
    """Return the names without outer spaces; empty ones are left out.

    Raises:
        ClassesError: none is left, one is undecodable, or two are the same in words.
    """
    return check_names([name for name in names if spoken(name)], source)
