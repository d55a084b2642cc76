"""Describe a method: its paper, its settings with their defaults, ranges and meanings."""

from __future__ import annotations

import inspect
from typing import Any


def describe_method(name: str) -> str:
    """Return the text of `mmrl help METHOD`."""
    import trainers  # noqa: F401  (registers the methods)
    from dassl.engine import TRAINER_REGISTRY

    trainer = TRAINER_REGISTRY.get(name)
    lines = [inspect.getdoc(inspect.getmodule(trainer)) or name, ""]
    defaults = getattr(trainer, "defaults", {})
    node = getattr(trainer, "settings_node", "")
    lines += [f"settings, given as TRAINER.{node}.NAME=VALUE:"] if defaults else ["It has no settings of its own."]
    declared = getattr(trainer, "declared", {})
    rows = [(key, repr(value), _explain(declared.get(key))) for key, value in defaults.items()]
    key_width, value_width = (max((len(row[i]) for row in rows), default=0) for i in (0, 1))
    lines += [f"  {key:{key_width}}  {value:{value_width}}  {text}".rstrip() for key, value, text in rows]
    lines += ["", f"example:\n  mmrl train {name} caltech101_64 --shots 16 --seed 1"]
    return "\n".join(lines)


def _explain(setting: Any) -> str:
    """Return the meaning of a declared setting, and what its value must be; empty where neither is said."""
    if setting is None:
        return ""
    wanted = f"({setting.rule.expected})" if setting.rule else ""
    return " ".join(text for text in (setting.meaning, wanted) if text)
