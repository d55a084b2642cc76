"""Rules for settings, each in words and as a test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from dassl.config.coercion import AUTO
from safeio.read_back import number

Values = Mapping[str, Any]
Dependency = Callable[[Values], str | None]
"""Rule for several keys together: values by dotted key -> an error message, or None."""


class Rule(NamedTuple):
    """Rule for one value: the words that follow "expected", the test, the names to choose from, if any, the least
    and the largest number, where both are known, and whether numbers beyond LEAST and MOST are refused, which is said
    only to who goes there."""

    expected: str
    fits: Callable[[Any], bool]
    choices: Collection[str] = ()
    ends: tuple[float, float] | None = None
    sized: bool = False


def is_number(value: Any) -> bool:
    """A finite one."""
    return number(value)


LEAST, MOST = 1e-30, 2**31 - 1
"""Sizes of numbers: those nearer to zero vanish when tensors compute with them; those beyond are typing errors, and
more than loops and tensors take."""


def sized_number(value: Any) -> bool:
    """Zero, or a number whose size lies between LEAST and MOST."""
    return is_number(value) and (value == 0 or LEAST <= abs(value) <= MOST)


NUMBER = Rule("a finite number", sized_number, sized=True)


def at_least(least: float) -> Rule:
    def fits(value: Any) -> bool:
        return is_number(value) and least <= value <= MOST

    return Rule(f"a number of at least {least}", fits, sized=True)


def above(limit: float) -> Rule:
    return Rule(f"a number above {limit}", lambda value: sized_number(value) and value > limit, sized=True)


def between(least: float, most: float) -> Rule:
    def fits(value: Any) -> bool:
        return is_number(value) and least <= value <= most

    return Rule(f"a number from {least} to {most}", fits, ends=(least, most))


def below_one() -> Rule:
    return Rule("a number from 0 to below 1", lambda value: is_number(value) and 0 <= value < 1)


def one_of(*names: str) -> Rule:
    return Rule(f"one of {', '.join(name or repr(name) for name in names)}", lambda value: value in names, names)


def or_auto(rule: Rule, whole: bool = True) -> Rule:
    """Return a rule that also allows ``auto`` (empty means the same); other values are whole numbers unless not."""

    def fits(value: Any) -> bool:
        return value in ("", AUTO) or (rule.fits(value) and not (whole and isinstance(value, float)))

    return Rule(f"{rule.expected}, or {AUTO}", fits, (AUTO,), sized=rule.sized)


def each(rule: Rule, length: int | None = None) -> Rule:
    """A list whose members all follow a rule, of this length if one is given."""

    def fits(value: Any) -> bool:
        listed = isinstance(value, (list, tuple)) and length in (None, len(value))
        return listed and all(map(rule.fits, value))

    return Rule(f"a list{f' of {length}' if length else ''}, each {rule.expected}", fits, rule.choices)
