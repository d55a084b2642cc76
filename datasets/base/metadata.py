"""What is known of the benchmarks: expected numbers (facts.csv) and where they come from (sources.yaml)."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parents[1]


def read_facts() -> dict[str, dict[str, str]]:
    """Registry name -> expected numbers."""
    with open(HERE / "facts.csv", newline="", encoding="utf-8") as file:
        return {row["registry_name"]: row for row in csv.DictReader(file)}


def read_sources() -> dict[str, dict[str, Any]]:
    """Registry name -> where it comes from and how it is laid out."""
    return yaml.safe_load((HERE / "sources.yaml").read_text(encoding="utf-8"))


def chosen(names: Sequence[str]) -> list[str]:
    """Registry names for what a command line names: those, names of configs, in any capitals, or `all`.

    Raises:
        ValueError: there is no such dataset; the message lists what there is.
    """
    facts = read_facts()
    if "all" in names:
        return list(facts)
    known = {word.lower(): name for name, row in facts.items() for word in (name, row["config"])}
    for name in names:
        if name.lower() not in known:
            near = difflib.get_close_matches(name.lower(), known, 1)
            hint = f" Did you mean {known[near[0]]}?" if near else ""
            raise ValueError(f"There is no benchmark {name!r}.{hint} There are: {', '.join(facts)}, or all.")
    return [known[name.lower()] for name in names]
