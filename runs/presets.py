"""Presets: published values per dataset, or one value for all. Data: configs/presets.yaml."""

from __future__ import annotations

from typing import Any

from runs.protocol import CONFIGS, choose, embedded_config, protocols_of, read


def presets() -> dict[str, Any]:
    """All presets by name."""
    return read(CONFIGS / "presets.yaml")


def load_preset(name: str) -> dict[str, Any]:
    """A preset's data.

    Raises:
        PlanError: there is none of that name.
    """
    known = presets()
    return known[choose("preset", name, known)]


def settings_under(preset: str, protocol: str, trainer: str) -> dict[str, Any]:
    """Return a method's settings for a protocol from its protocols.yaml, with those for the preset on top.

    Args:
        protocol: one that methods have settings for, not one that extends it.
    """
    entry = protocols_of(trainer)[protocol]
    return {**entry, **entry.get(preset, {})}


def file_under(preset: str, protocol: str, trainer: str, dataset: str, shots: int) -> str | None:
    """The config file that a preset takes for a dataset; None: the one that the method's protocols.yaml names.

    Args:
        protocol: one that methods have settings for, not one that extends it.
    """
    if not load_preset(preset)["folder"] or embedded_config(dataset):
        return None
    given = settings_under(preset, protocol, trainer)["cfg"]["default"]
    return given.get(shots, given["default"]) if isinstance(given, dict) else given
