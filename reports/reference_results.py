"""Published figures, each with its source, from the CSV files in reports/published/. What they lack is None."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from runs.names import dataset_name, method_name
from runs.table import harmonic_mean

FOLDER = Path(__file__).parent / "published"
FILES = {
    "base2new": "base_to_novel_published.csv",
    "cross_dataset": "cross_dataset_published.csv",
    "domain_generalization": "domain_generalization_published.csv",
    "few_shot": "few_shot_fragments.csv",
    "efficiency": "efficiency.csv",
}
RERUNS = "reproductions_mmrl_mmrlpp.csv"
FIELD = "field_published.csv"
"""Figures and reruns that later papers print, of methods and protocols that are here."""
MEAN_H = "mean H"

AVERAGES = ("Average", "Average11")
BACKBONE = "ViT-B/16"
"""Of every published figure here; runs on others are not compared."""
ROUNDING = 0.02
"""Points by which rounding may put a published average off the mean of its datasets."""
DISAGREEMENT = 2.0
"""Points between a published figure and a rerun of somebody else from which on a footnote says so."""

# Published efficiency in our units: metric of ours -> metric of the file, and the conversion.
EFFICIENCY = {
    "trainable_params": [("trainable params (M)", lambda v: v * 1e6)],
    "train_seconds": [("train time (min)", lambda v: v * 60)],
    "train_images_per_second": [("train ms/batch32", lambda v: 32_000 / v)],
    "test_images_per_second": [("FPS", lambda v: v), ("infer ms/batch32", lambda v: 32_000 / v)],
    "peak_memory_mib": [("train MiB", lambda v: v)],
}


class Figure(NamedTuple):
    """A published number and where it is from."""

    value: float
    source: str


def figure(table: str, method: str, dataset: str, metric: str, shots: int = 16) -> Figure | None:
    """The published number of a cell, None where the files have none.

    Args:
        table: base2new, cross_dataset, domain_generalization, few_shot or efficiency.
        method, dataset: registry names; dataset "Average" for the mean over the paper's datasets.
        metric: base, novel, H, acc, or for efficiency the file's own name.
    """
    method, dataset = method_name(method), dataset_name(dataset)
    names = AVERAGES if dataset == "Average" else (dataset, f"{dataset} (source)")
    return next((found for name in names if (found := _figures(table).get((method, name, metric, shots)))), None)


def efficiency(method: str, dataset: str, metric: str) -> Figure | None:
    """A published figure of efficiency in this project's units (see EFFICIENCY)."""
    for name, convert in EFFICIENCY.get(metric, []):
        found = figure("efficiency", method, dataset, name)
        if found:
            return Figure(convert(found.value), f"{name} {found.value:g}; {found.source}")
    return None


def datasets_of(table: str) -> list[str]:
    """Datasets of a published table, in its order, as the tables write them; without source and average."""
    names = dict.fromkeys(name for _, name, _, _ in _figures(table))
    return [name for name in names if name not in AVERAGES and not name.endswith("(source)")]


def methods_of(table: str) -> list[str]:
    """Methods of a published table, in its order."""
    return list(dict.fromkeys(method for method, *_ in _figures(table)))


def disagreement(method: str, dataset: str, metric: str) -> str:
    """A footnote where a rerun by others is DISAGREEMENT points or more off the published figure; else "".

    It lists every rerun of that cell with its source. Base-to-new only: there are no other reruns. For an average: a
    footnote where it is not the mean of its datasets.
    """
    published = figure("base2new", method, dataset, metric)
    if published is not None and dataset == AVERAGES[0] and metric != "H":
        return _wrong_average(method, metric, published)
    name = method_name(method), dataset_name(dataset), metric
    reruns = _reruns().get(name, {})
    if published is None or all(abs(float(v) - published.value) < DISAGREEMENT for vs in reruns.values() for v in vs):
        return ""
    told = "; ".join(f"{_span(values)} ({source})" for source, values in reruns.items())
    word = "new" if metric == "novel" else metric
    return (
        f"{name[0]} on {name[1]}, {word}: reruns by others disagree with the published "
        f"{published.value:.2f} ({published.source}): {told}."
    )


def _wrong_average(method: str, metric: str, published: Figure) -> str:
    """A footnote where the published average is not the mean of the published datasets."""
    found = [figure("base2new", method, name, metric) for name in datasets_of("base2new")]
    values = [one.value for one in found if one]
    if len(values) < len(found):
        return ""
    mean = fmean(values)
    if abs(mean - published.value) < ROUNDING:
        return ""
    return (
        f"{method_name(method)}, average {'new' if metric == 'novel' else metric}: the published "
        f"{published.value:.2f} is not the mean of the published datasets, {mean:.2f} ({published.source})."
    )


def _span(values: list[str]) -> str:
    numbers = sorted(map(float, values))
    if len(numbers) == 1:
        return f"{numbers[0]:.2f}"
    return f"{numbers[0]:.2f} to {numbers[-1]:.2f} in {len(numbers)} reruns"


@cache
def _figures(table: str) -> dict[tuple[str, str, str, int], Figure]:
    name = {"base2new": "base_to_novel"}.get(table, table)
    rows = _rows(FILES[table]) if table in FILES else []
    rows = [*rows, *(row for row in _rows(FIELD) if row["table"] == name)]
    found: dict[tuple[str, str, str, int], Figure] = {}
    for row in rows:
        key = (row["method"], row["dataset"], row["metric"], int(row["shots"]))
        found.setdefault(key, Figure(float(row["value"]), row["source"]))
    for method, dataset, metric, shots in [key for key in found if key[1:3] == (AVERAGES[0], "H")]:
        halves = [found.get((method, dataset, part, shots)) for part in ("base", "novel")]
        values = [half.value for half in halves if half]
        if len(values) == 2 and abs(harmonic_mean(*values) - found[method, dataset, metric, shots].value) > ROUNDING:
            # Not H of the averages, so the other average in use.
            found[method, dataset, MEAN_H, shots] = found.pop((method, dataset, metric, shots))
    return found


@cache
def _reruns() -> dict[tuple[str, str, str], dict[str, list[str]]]:
    """(method, dataset, metric) -> source -> values. "MMRL [issue 14, seed 1]" is a rerun of MMRL."""
    found: dict = defaultdict(lambda: defaultdict(list))
    for row in (*_rows(RERUNS), *_rows(FIELD)):
        method = re.sub(r"\*? ?[\[(].*", "", row["method"])
        if row["table"] == "reproduction" and row["task"] == "B2N":
            found[method, row["dataset"], row["metric"]][row["source"]].append(row["value"])
    return found


@cache
def _rows(name: str) -> list[dict[str, str]]:
    with open(FOLDER / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
