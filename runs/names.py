"""Names as papers write them, from configs/names.yaml, in either spelling; and what each method learns.

A name that the file lacks is its own display name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from safeio.names import folded

FILE = Path(__file__).parent.parent / "configs" / "names.yaml"
BIBLIOGRAPHY = FILE.with_name("references.bib")
"""BibTeX entries of the papers that `citation` gives the keys of."""
METHODS = FILE.with_name("methods.yaml")
"""Learned parts of each method, and their number of parameters."""
ZERO_SHOT = ("ZeroshotCLIP", "ZeroshotCLIP2")
"""Methods that learn nothing, so that their tests need no training."""


def method_name(method: str) -> str:
    """Return a method's name in papers: ``MMRLpp`` is MMRL++."""
    return _entries("methods").get(method, {}).get("name", method)


def citation(method: str) -> str:
    """Return the key of a method's paper in a bibliography, "" where there is none."""
    return _entries("methods").get(method, {}).get("cite", "")


def learned(method: str) -> str:
    """Return what a method learns, with its number of parameters, in a line; "" for an unknown method."""
    about = yaml.safe_load(METHODS.read_text(encoding="utf-8")).get(method)
    if about is None:
        return ""
    letters = ", with C classes, N training images and E = 512" if "C" in about["parameters"] else ""
    return f"{about['learned']} (parameters on a ViT-B/16{letters}: {about['parameters']})"


def dataset_name(dataset: str) -> str:
    """Return a dataset's short name: ``DescribableTextures`` is DTD."""
    return _entries("datasets").get(dataset, {}).get("short", dataset)


def dataset_long_name(dataset: str) -> str:
    """Return a dataset's full name: ``DescribableTextures`` is Describable Textures."""
    return _entries("datasets").get(dataset, {}).get("long", dataset)


def find_method(name: str, among: Iterable[str]) -> str:
    """Return the one of `among` that `name` means in any spelling; `name` itself if there is none."""
    return _find("methods", name, among)


def find_dataset(name: str, among: Iterable[str]) -> str:
    """Return the registry name or config file's name of `among` that `name` means; `name` itself where none does."""
    return _find("datasets", name, among)


def registry_name(kind: str, name: str) -> str:
    """Return the registry name that any spelling of `kind` (methods, datasets) means; an unknown one as it is.

    Upper and lower case, spaces and hyphens matter only where two names differ in nothing else.
    """
    strict, loose = _spellings(kind)
    return strict.get(name) or loose.get(folded(name), name)


def _find(kind: str, name: str, among: Iterable[str]) -> str:
    known = list(among)
    if name in known:
        return name
    meant = registry_name(kind, name)
    return next((one for one in known if registry_name(kind, one) == meant), name)


@cache
def _entries(kind: str) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))[kind]


@cache
def _spellings(kind: str) -> tuple[dict[str, str], dict[str, str]]:
    """Spelling -> registry name, as written and without case and punctuation."""
    entries, fields = _entries(kind), ("name", "short", "long", "config")
    strict = {registered: registered for registered in entries}
    for registered, entry in entries.items():
        for spelling in (*(entry[key] for key in fields if key in entry), *entry.get("also", ())):
            strict.setdefault(spelling, registered)
    loose: dict[str, str] = {}
    for spelling, registered in strict.items():
        loose.setdefault(folded(spelling), registered)
    return strict, loose
