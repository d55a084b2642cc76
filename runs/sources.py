"""Published sources of a method's settings, and the settings without one. Data: configs/trainers/*/sources.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runs.names import method_name
from runs.protocol import CONFIGS, load_protocol, read


def sources_of(trainer: str) -> dict[str, Any]:
    """Return a method's repository, commit, what was read in which file, what is unverified; empty without any."""
    file = CONFIGS / "trainers" / trainer / "sources.yaml"
    return read(file) if file.is_file() else {}


def unverified(trainer: str, task: str, dataset: str, cfg: str) -> dict[str, str]:
    """Return the settings of a run whose values no published file or script has: dotted key -> reason.

    Args:
        task: TASK, the kind of protocol; dataset: DATASET.NAME; cfg: name of the method's config file.
    """
    return {
        key: entry["why"]
        for entry in sources_of(trainer).get("unverified", [])
        if _concerns(entry, task, dataset, cfg)
        for key in entry["keys"]
    }


def _concerns(entry: Mapping[str, Any], task: str, dataset: str, cfg: str) -> bool:
    protocols = entry.get("protocols")
    return (
        (protocols is None or task in {load_protocol(name)["task"] for name in protocols})
        and dataset not in entry.get("except_datasets", ())
        and cfg in entry.get("files", (cfg,))
    )


def in_words(settings: Mapping[str, str]) -> str:
    """Return unverified settings for people: each reason once, with its keys."""
    by_reason: dict[str, list[str]] = {}
    for key, why in settings.items():
        by_reason.setdefault(why, []).append(key)
    return "; ".join(f"{', '.join(keys)} ({why})" for why, keys in by_reason.items())


TRANSDUCTIVE, LANGUAGE_MODEL = "transductive", "texts of a language model"
"""Marks in the records of methods that learn from more than labelled images and names (`Method.marks`)."""
MARKS = {
    TRANSDUCTIVE: "transductive: it saw unlabelled images of the classes that are tested",
    LANGUAGE_MODEL: "it learned with texts of a language model about the classes",
}
"""Explanations of the marks below a table."""


def published_note(trainer: str) -> str:
    """Return a footnote for a method's published results: what it saw there besides images and names; or empty."""
    saw = [MARKS.get(mark, mark) for mark in sources_of(trainer).get("marks", ())]
    return f"{method_name(trainer)}, published: {'; '.join(saw)}." if saw else ""


def note(records: Iterable[Mapping[str, Any]]) -> str:
    """Return a footnote for results of these runs: what a method saw besides images and names, unverified settings."""
    found: dict[str, str] = {}
    saw: set[tuple[str, str]] = set()
    for record in records:
        found |= record.get("unverified") or {}
        saw |= {(method_name(str(record.get("method"))), MARKS.get(mark, mark)) for mark in record.get("marks") or ()}
    notes = [f"{method}: {what}." for method, what in sorted(saw)]
    return " ".join([*notes, *([f"Settings that no published file says: {in_words(found)}."] if found else [])])
