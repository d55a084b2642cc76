"""Rules for settings, in words and as a test, and a check of a configuration that names all errors at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from dassl.config.builder import ConfigBuilder
from dassl.config.coercion import AUTO
from dassl.config.yaml_files import ConfigError
from dassl.utils.names import get_most_similar_str_to_a_from_b
from safeio.escape import shown
from safeio.read_back import number
from safeio.trees import leaves

Values = Mapping[str, Any]
Dependency = Callable[[Values], str | None]
"""Rule for several keys together: values by dotted key -> an error message, or None."""


class Rule(NamedTuple):
    """Rule for one value: the words that follow "expected", the test, the names to choose from, if any, the least
    and the largest number, where both are known, and a limit that is said only to who goes beyond it."""

    expected: str
    fits: Callable[[Any], bool]
    choices: Collection[str] = ()
    ends: tuple[float, float] | None = None
    limit: float | None = None


def is_number(value: Any) -> bool:
    """A finite one."""
    return number(value)


NUMBER = Rule("a finite number", is_number)


MOST = 2**31 - 1
"""Numbers beyond are typing errors, and more than loops and tensors take."""


def at_least(least: float) -> Rule:
    def fits(value: Any) -> bool:
        return is_number(value) and least <= value <= MOST

    return Rule(f"a number of at least {least}", fits, limit=MOST)


def above(limit: float) -> Rule:
    return Rule(f"a number above {limit}", lambda value: is_number(value) and value > limit)


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

    return Rule(f"{rule.expected}, or {AUTO}", fits, (AUTO,))


def each(rule: Rule, length: int | None = None) -> Rule:
    """A list whose members all follow a rule, of this length if one is given."""

    def fits(value: Any) -> bool:
        listed = isinstance(value, (list, tuple)) and length in (None, len(value))
        return listed and all(map(rule.fits, value))

    return Rule(f"a list{f' of {length}' if length else ''}, each {rule.expected}", fits)


def check_ranges(builder: ConfigBuilder, rules: Mapping[str, Rule], dependencies: Collection[Dependency] = ()) -> None:
    """Hold a configuration to rules, by dotted key; keys that it lacks, and None, are passed over.

    Raises:
        ConfigError: with a line for each wrong value: key, origin, value, what was expected.
    """
    values = dict(leaves(builder.cfg))
    wrong = [
        f"{key} in {builder.origins.get(key, 'the defaults')} is {shown(values[key])}, expected {rule.expected}"
        + _beyond(values[key], rule)
        + _nearest(values[key], rule.choices)
        for key, rule in rules.items()
        if values.get(key) is not None and not rule.fits(values[key])
    ]
    if not wrong:
        wrong = [message for dependency in dependencies if (message := dependency(values))]
    if wrong:
        raise ConfigError("\n".join(wrong))


def _beyond(value: Any, rule: Rule) -> str:
    return f" and at most {rule.limit:,}" if rule.limit and is_number(value) and value > rule.limit else ""


def _nearest(value: Any, choices: Collection[str]) -> str:
    if not choices or not isinstance(value, str) or not value:
        return ""
    return f". Did you mean {get_most_similar_str_to_a_from_b(value, choices)!r}?"
