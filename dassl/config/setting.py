"""A setting as it is declared: its default, range, meaning and source in one place."""

from __future__ import annotations

from typing import Any, NamedTuple

from dassl.config.validators import Rule


class Setting(NamedTuple):
    """One setting of the engine, the harness or a method.

    Attributes:
        default: its value where nothing else is given; its type is the setting's.
        rule: the values that it may have (`dassl.config.validators`); None: any value of the type.
        meaning: its effect, in a line, with the value that means "automatic" if there is one.
        source: where the default was read, as "KaiyangZhou/CoOp train.py"; empty: the trainer's `settings_source`.
        search: values that `sweep.py --search` tries, as LOW..HIGH or LOW..HIGH:log; empty: of a number between two
            ends all of them, else none.
        symbol: how the paper writes it; reports name swept values by it.
    """

    default: Any
    rule: Rule | None = None
    meaning: str = ""
    source: str = ""
    search: str = ""
    symbol: str = ""

    @property
    def searched(self) -> str:
        """The values that a search tries; empty: none."""
        if self.search or self.rule is None or self.rule.ends is None or not isinstance(self.default, float):
            return self.search
        return "{}..{}".format(*map(float, self.rule.ends))
