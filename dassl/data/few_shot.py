"""Choosing a few images per class, in a way that a seed decides completely."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


def group_by(items: Sequence[Item], key: Callable[[Item], Hashable]) -> dict[Any, list[Item]]:
    """Items by key, keys in order of first appearance, items in their order."""
    groups: dict[Any, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def sample_few_shot(items: Sequence[Item], shots: int, rng: Any = random, repeat: bool = False) -> list[Item]:
    """``shots`` items of each class, drawn without replacement.

    The classes come in order of first appearance, and the order of drawing is kept, so that a seed gives the
    same list as the published code. A smaller class is taken whole, in order, without drawing; with
    ``repeat`` it is filled up to ``shots`` by drawing with replacement.

    Args:
        items: things with a ``label``.
        shots: items per class.
        rng: the module ``random`` (the process-wide generator, as in the published code) or a
            ``random.Random``, which gives the same for the same seed.
    """
    chosen: list[Item] = []
    for group in group_by(items, lambda item: item.label).values():
        if len(group) >= shots:
            chosen += rng.sample(group, shots)
        else:
            chosen += rng.choices(group, k=shots) if repeat else group
    return chosen
