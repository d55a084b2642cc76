"""Names that people mistype: tell them what exists and what they probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from safeio.errors import UserError
from safeio.escape import shown


class UnknownNameError(UserError, KeyError, ValueError):
    """A name that is not on a list. A registry promises KeyError and a choice ValueError: this is both."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        self.known = sorted(known)
        super().__init__(unknown_name_message(kind, name, self.known))

    def __str__(self) -> str:  # KeyError would print the repr, with quotes and escaped line ends
        return self.args[0]


def unknown_name_message(kind: str, name: str, known: Sequence[str]) -> str:
    """``Unknown <kind> 'x'. Did you mean 'y'? Available: ...``, or that no name was given."""
    if not known:
        return f"Unknown {kind} {shown(name)}: none is registered. Was the file that defines it imported?"
    if not name:
        return f"No {kind} is named. Available: {', '.join(map(str, known))}"
    nearest = get_most_similar_str_to_a_from_b(name, known)
    return f"Unknown {kind} {shown(name)}. Did you mean {nearest!r}? Available: {', '.join(map(str, known))}"


def get_most_similar_str_to_a_from_b(a: str, b: Iterable[str]) -> str | None:
    """The element of ``b`` most like ``a``, upper and lower case being alike; None when ``b`` is empty."""
    wanted = str(a).lower()
    return max(b, key=lambda known: SequenceMatcher(None, wanted, str(known).lower()).ratio(), default=None)


def check_availability(requested: str, available: Iterable[str], kind: str = "name") -> None:
    """Raise :class:`UnknownNameError` (a ValueError) unless ``requested`` is in ``available``."""
    available = list(available)
    if requested not in available:
        raise UnknownNameError(kind, requested, available)
