"""Settings of a method, declared where the method is: default, range, meaning and source of each in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dassl.config.setting import Setting
from dassl.config.validators import one_of
from trainers.base.precision import PRECISIONS

OURS = "ours"
"""Source of a default that no publication has."""


def precision(default: str) -> Setting:
    """Return the setting PREC, a method's number type."""
    return Setting(
        default, one_of(*PRECISIONS), "precision of the computation", source=OURS if default == "fp32" else ""
    )


def declare(given: Mapping[str, Any], inherited: Mapping[str, Setting], source: str = "") -> dict[str, Setting]:
    """Return settings by name.

    Args:
        given: what a trainer declares; plain values are other defaults of inherited settings, or free settings.
        inherited: the settings of the trainer that it is made from.
        source: where the trainer's defaults were read, for those that do not name a source of their own.
    """
    found = {}
    for name, value in given.items():
        before = inherited.get(name)
        if not isinstance(value, Setting):
            changed = before is None or value != before.default
            value = (before or Setting(value))._replace(default=value, **({"source": ""} if changed else {}))
        found[name] = value if value.source else value._replace(source=source)
    return found


def rows(declared: Mapping[str, Setting]) -> list[dict[str, str]]:
    """Return the table of a trainer's settings: name, default, range, meaning and source of each, in words."""
    return [
        {
            "name": name,
            "default": _in_words(setting.default),
            "range": setting.rule.expected if setting.rule else _TYPES.get(type(setting.default), "any value"),
            "meaning": ": ".join(filter(None, (setting.symbol, setting.meaning))),
            "source": setting.source,
        }
        for name, setting in declared.items()
    ]


_TYPES = {bool: "True or False", str: "text", int: "a number", float: "a number", tuple: "a list", list: "a list"}


def _in_words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(str, value))}]"
    return str(value) if value != "" else "empty"
