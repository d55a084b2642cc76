"""Search for names in any spelling (capitals, separators, the papers' form), and for the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def folded(name: str) -> str:
    """Return a name without capitals and separators, `+` as p: MMRL++ is mmrlpp, ViT-B/16 is vitb16."""
    return "".join(letter for letter in name.lower().replace("+", "p") if letter.isalnum())


def find_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is spelled so, exactly or when both are `folded`; None if there is none."""
    known = list(known)
    if name in known:
        return name
    same = {folded(each): each for each in reversed(known)}
    return same.get(folded(name)) if folded(name) else None


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name most like a mistyped one; None if none is alike."""
    spelled = {folded(each): each for each in known}
    near = difflib.get_close_matches(folded(name), spelled, 1, cutoff)
    return spelled[near[0]] if near else None
