"""Describe a method: its paper, its settings with their defaults."""

from __future__ import annotations

import inspect


def describe_method(name: str) -> str:
    """Return the text of `mmrl help METHOD`."""
    import trainers  # noqa: F401  (registers the methods)
    from dassl.engine import TRAINER_REGISTRY

    trainer = TRAINER_REGISTRY.get(name)
    lines = [inspect.getdoc(inspect.getmodule(trainer)) or name, ""]
    defaults = getattr(trainer, "defaults", {})
    node = getattr(trainer, "settings_node", "")
    lines += [f"settings, given as TRAINER.{node}.NAME=VALUE:"] if defaults else ["It has no settings of its own."]
    width = max(map(len, defaults), default=0)
    lines += [f"  {key:{width}}  {value!r}" for key, value in defaults.items()]
    lines += ["", f"example:\n  mmrl train {name} caltech101_64 --shots 16 --seed 1"]
    return "\n".join(lines)
