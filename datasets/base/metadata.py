"""Metadata of the benchmarks: expected numbers (facts.csv) and their origin (sources.yaml)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dassl.data.datasets import DATASET_REGISTRY
from safeio.names import find_name, nearest_name

HERE = Path(__file__).parents[1]


def read_facts() -> dict[str, dict[str, str]]:
    """Registry name -> expected numbers."""
    with open(HERE / "facts.csv", newline="", encoding="utf-8") as file:
        return {row["registry_name"]: row for row in csv.DictReader(file)}


def read_sources() -> dict[str, dict[str, Any]]:
    """Registry name -> where it comes from and how it is laid out."""
    return yaml.safe_load((HERE / "sources.yaml").read_text(encoding="utf-8"))


def lists_of(name: str) -> list[str]:
    """Return the files, below the datasets' root, that give a dataset's split and its class names."""
    builder = DATASET_REGISTRY.get(name)
    folder, split = getattr(builder, "dataset_dir", ""), getattr(builder, "split_file", "")
    return [f"{folder}/{file}" for file in (split, "classnames.txt") if folder and file]


def chosen(names: Sequence[str]) -> list[str]:
    """Return the registry names of datasets given by registry or config name, in any spelling, or by `all`.

    Raises:
        ValueError: there is no such dataset; the message lists what there is.
    """
    facts = read_facts()
    if "all" in names:
        return list(facts)
    known = {word: name for name, row in facts.items() for word in (name, row["config"])}
    found = []
    for name in names:
        meant = find_name(name, known)
        if meant is None:
            near = nearest_name(name, known)
            hint = f" Did you mean {near}?" if near else ""
            raise ValueError(f"There is no benchmark {name!r}.{hint} There are: {', '.join(facts)}, or all.")
        found.append(known[meant])
    return found
