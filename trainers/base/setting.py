"""A method's settings, declared where the method is: default, range, meaning and source of each in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dassl.config.validators import Rule, one_of
from trainers.base.precision import PRECISIONS


class Setting(NamedTuple):
    """One setting of a method.

    Attributes:
        default: its value where nothing else is given; its type is the setting's.
        rule: what a value must be (`dassl.config.validators`); None: any value of the type.
        meaning: what it does, in a line, with the value that means "automatic" if there is one.
        search: values that `sweep.py --search` tries, as LOW..HIGH or LOW..HIGH:log; empty: of a number between two
            ends all of them, else none.
        source: where the default was read, as "the paper, table 7"; empty: `configs/trainers/METHOD/sources.yaml`.
    """

    default: Any
    rule: Rule | None = None
    meaning: str = ""
    source: str = ""
    search: str = ""

    @property
    def searched(self) -> str:
        """The values that a search tries; empty: none."""
        if self.search or self.rule is None or self.rule.ends is None or not isinstance(self.default, float):
            return self.search
        return "{}..{}".format(*map(float, self.rule.ends))


def precision(default: str) -> Setting:
    """Return the setting PREC: what a method computes in."""
    return Setting(default, one_of(*PRECISIONS), "what it computes in")


def declare(given: Mapping[str, Any], inherited: Mapping[str, Setting]) -> dict[str, Setting]:
    """Return settings by name; plain values in `given` are other defaults of inherited ones, or free settings."""
    return {
        name: value if isinstance(value, Setting) else inherited.get(name, Setting(value))._replace(default=value)
        for name, value in given.items()
    }
