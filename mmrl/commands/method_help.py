"""Describe a method: its paper, its settings with their defaults, ranges and meanings."""

from __future__ import annotations

import inspect


def describe_method(name: str) -> str:
    """Return the text of `mmrl help METHOD`."""
    import trainers  # noqa: F401  (registers the methods)
    from dassl.engine import TRAINER_REGISTRY
    from runs.names import learned
    from trainers.base.setting import rows

    trainer = TRAINER_REGISTRY.get(name)
    lines = [inspect.getdoc(inspect.getmodule(trainer)) or name, ""]
    lines += [f"learned: {about}", ""] if (about := learned(name)) else []
    settings = rows(getattr(trainer, "declared", {}))
    node = getattr(trainer, "settings_node", "")
    lines += [f"settings, given as TRAINER.{node}.NAME=VALUE:"] if settings else ["It has no settings of its own."]
    width = max((len(row["name"]) for row in settings), default=0)
    for row in settings:
        lines.append(f"  {row['name']:{width}}  {row['default']}")
        about = f"{row['meaning']} ({row['range']})" if row["meaning"] else row["range"]
        lines += [f"  {'':{width}}    {about}", f"  {'':{width}}    source: {row['source']}"]
    lines += ["", f"example:\n  mmrl train {name} caltech101_64 --shots 16 --seed 1"]
    return "\n".join(lines)
