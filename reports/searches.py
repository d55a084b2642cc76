"""Searches of settings for the report. Their trials are no results: they were tested on validation images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.names import dataset_name, method_name, registry_name
from runs.sweep.search import FOLDER, TRIALS
from safeio.errors import UserError
from safeio.read_back import read_json, reading, say

FORM = {"method": str, "dataset": str, "seed": int, "shots": int, "ranges": dict, "trials": list}


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        keys: the settings that were searched, with their ranges; rows: trials, best first: number, accuracy, values.
    """

    title: str
    folder: str
    keys: list[tuple[str, str]]
    rows: list[tuple[int, float, list[str]]]


def find_searches(root: Path) -> list[Search]:
    """Return the searches below a folder of runs; a damaged file is left out with a warning."""
    return list(_read(root))


def _read(root: Path) -> Iterator[Search]:
    for file in sorted((root / FOLDER).rglob(TRIALS)):
        try:
            with reading(str(file), "the trials of a search"):
                yield _search(read_json(file, FORM), file.parent.relative_to(root).as_posix())
        except UserError as error:
            say(f"{error} The search is left out.")


def _search(content: dict[str, Any], folder: str) -> Search:
    keys = list(content["ranges"])
    ranges = [f"{float(each['low']):g} to {float(each['high']):g}" for each in content["ranges"].values()]
    trials = sorted(content["trials"], key=lambda trial: -float(trial["accuracy"]))
    rows = [(int(t["number"]), float(t["accuracy"]), [f"{t['values'][key]:.4g}" for key in keys]) for t in trials]
    title = f"{method_name(content['method'])} on {dataset_name(registry_name('datasets', content['dataset']))}"
    title += f", {content['shots']} shots, seed {content['seed']}"
    return Search(title, folder, list(zip(keys, ranges, strict=True)), rows)
