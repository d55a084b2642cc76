"""Published results and reruns by others, each with its source, from the CSV files in reports/published/.

Missing values are None or empty. A row without `reported_by` is a published result, one with it a rerun by others.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean

from runs.names import dataset_name, method_name
from runs.table import harmonic_mean

FOLDER = Path(__file__).parent / "published"
TABLES = ("base2new", "cross_dataset", "domain_generalization", "few_shot")
SOURCES = {"cross_dataset": "ImageNet", "domain_generalization": "ImageNet"}
"""Datasets that are trained on and stand apart from the others of a table."""
COST = "cost"
MEAN_H = "mean H"
AVERAGE = "Average"
BACKBONE = "ViT-B/16"
"""The papers' usual backbone."""
ROUNDING = 0.02
"""Points by which rounding may put a published average off the mean of its datasets."""
ROUNDING_OF_TENTHS = 0.11
"""The same where the datasets have one digit after the point."""
DISAGREEMENT = 2.0
"""Points between a published result and a rerun of somebody else from which on a footnote says so."""


@dataclass(frozen=True)
class PublishedValue:
    """A published or rerun number, with its source.

    Attributes:
        deviation: over the seeds, None where it was not printed.
        reported_by: who ran the method again; "" for a published result.
        run: which of several reruns of theirs.
    """

    value: float
    source: str
    deviation: float | None = None
    reported_by: str = ""
    run: str = ""


@dataclass(frozen=True, order=True)
class CellKey:
    """A cell of a published table, by the papers' names; `metric` is base, novel, H, mean H or acc."""

    method: str
    dataset: str
    metric: str
    shots: int = 16
    backbone: str = BACKBONE


@dataclass(frozen=True)
class Reference:
    """Printed results of a cell: the published one, and one number for everybody who ran it again.

    Attributes:
        reruns: in ascending order; of several runs of one group the mean.
        note: a footnote where the result is in doubt, with sources; else "".
    """

    published: PublishedValue | None = None
    reruns: tuple[float, ...] = ()
    note: str = ""


def reference(
    table: str, method: str, dataset: str, metric: str, shots: int = 16, backbone: str = BACKBONE
) -> Reference:
    """Return what was printed of a cell of one of TABLES.

    Args:
        method, dataset: in any spelling; dataset "Average" for the mean over the paper's datasets.
        metric: base, novel, H, mean H or acc.
    """
    key = CellKey(method_name(method), dataset_name(dataset), metric, shots, backbone)
    if (untrained := replace(key, shots=0)) in _table(table):
        key = untrained  # zero-shot: the same at any number of shots
    published = next((one for one in _table(table).get(key, ()) if not one.reported_by), None)
    groups = _reruns(table, key)
    reruns = tuple(sorted(fmean(one.value for one in group) for group in groups.values()))
    note = _disagreement(key, published, groups) or _wrong_average(table, key, published)
    return Reference(published, reruns, note)


def datasets_of(table: str) -> list[str]:
    """Datasets of a published table, in its order, as the tables write them; without source and average."""
    names = dict.fromkeys(key.dataset for key in _table(table))
    return [name for name in names if name not in (AVERAGE, SOURCES.get(table))]


def methods_of(table: str) -> list[str]:
    """Methods of a published table, in its order."""
    return list(dict.fromkeys(key.method for key in _table(table)))


def _reruns(table: str, key: CellKey) -> dict[str, list[PublishedValue]]:
    """Return the reruns of a cell: who ran it -> their results."""
    found: dict[str, list[PublishedValue]] = defaultdict(list)
    for one in _table(table).get(key, ()):
        if one.reported_by:
            found[one.reported_by].append(one)
    return found


def _disagreement(key: CellKey, published: PublishedValue | None, groups: dict[str, list[PublishedValue]]) -> str:
    """Return a footnote that lists all reruns where one is DISAGREEMENT points or more off the published result.

    H follows from base and new, which have their own.
    """
    values = [one.value for group in groups.values() for one in group]
    if (
        published is None
        or key.metric in ("H", MEAN_H)
        or all(abs(value - published.value) < DISAGREEMENT for value in values)
    ):
        return ""
    listed = "; ".join(f"{_span(group)} ({group[0].source})" for group in groups.values())
    spread = f" ± {published.deviation:.2f}" if published.deviation is not None else ""
    return (
        f"{_name(key)}: reruns by others disagree with the published "
        f"{published.value:.2f}{spread} ({published.source}): {listed}."
    )


def _name(key: CellKey) -> str:
    word = {"novel": "new", "acc": f"{key.shots} shots"}.get(key.metric, key.metric)
    where = "average" if key.dataset == AVERAGE else f"on {key.dataset}"
    return f"{key.method} {where}, {word}" if where != "average" else f"{key.method}, average {word}"


def _span(group: list[PublishedValue]) -> str:
    numbers = sorted(one.value for one in group)
    if len(numbers) == 1:
        return f"{numbers[0]:.2f}"
    return f"{numbers[0]:.2f} to {numbers[-1]:.2f} in {len(numbers)} reruns"


def _wrong_average(table: str, key: CellKey, published: PublishedValue | None) -> str:
    """Return a footnote where the published average is not the mean of the published datasets."""
    if key.dataset != AVERAGE or published is None or key.metric in ("H", MEAN_H):
        return ""
    each = [_table(table).get(replace(key, dataset=name), []) for name in datasets_of(table)]
    values = [group[0].value for group in each if group and not group[0].reported_by]
    rounding = ROUNDING if any(value != round(value, 1) for value in values) else ROUNDING_OF_TENTHS
    if len(values) < len(each) or abs(fmean(values) - published.value) < rounding:
        return ""
    return (
        f"{_name(key)}: the published {published.value:.2f} is not the mean of the published datasets, "
        f"{fmean(values):.2f} ({published.source})."
    )


@cache
def _table(table: str) -> dict[CellKey, list[PublishedValue]]:
    """Every row of a table by its cell, in the file's order."""
    found: dict[CellKey, list[PublishedValue]] = {}
    for row in _rows(table):
        key = CellKey(row["method"], row["dataset"], row["metric"], int(row["shots"]), row["backbone"])
        deviation = float(row["deviation"]) if row["deviation"] else None
        value = PublishedValue(float(row["value"]), row["source"], deviation, row["reported_by"], row["run"])
        if key.dataset == AVERAGE and key.metric == "H" and not _is_h_of_averages(found, key, value):
            key = replace(key, metric=MEAN_H)
        found.setdefault(key, []).append(value)
    return {**found, **_missing_averages(table, found)}


def _is_h_of_averages(found: dict[CellKey, list[PublishedValue]], key: CellKey, h: PublishedValue) -> bool:
    """Return whether a printed average H is that of the average base and new, not the mean of the datasets' H."""
    halves = [
        one.value
        for part in ("base", "novel")
        for one in found.get(replace(key, metric=part), ())
        if (one.reported_by, one.run) == (h.reported_by, h.run)
    ]
    return len(halves) != 2 or abs(harmonic_mean(*halves) - h.value) <= ROUNDING


def _missing_averages(table: str, found: dict[CellKey, list[PublishedValue]]) -> dict[CellKey, list[PublishedValue]]:
    """Return means over the datasets where all are printed and their average is not."""
    names = [name for name in dict.fromkeys(key.dataset for key in found) if name not in (AVERAGE, SOURCES.get(table))]
    made = {}
    for key in dict.fromkeys(replace(key, dataset=AVERAGE) for key in found if key.metric == "acc"):
        each = [found.get(replace(key, dataset=name), []) for name in names]
        first = [group[0] for group in each if group and not group[0].reported_by]
        if key not in found and len(first) == len(names):
            mean = fmean(one.value for one in first)
            made[key] = [PublishedValue(mean, f"{first[0].source}: mean of the {len(first)} datasets")]
    return made


@cache
def _rows(table: str) -> list[dict[str, str]]:
    with open(FOLDER / f"{table}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


UNITS = {
    "trainable_params": {"parameters (M)": lambda v: v * 1e6},
    "seconds": {"seconds": lambda v: v},
    "train_seconds": {"training minutes": lambda v: v * 60, "seconds": lambda v: v},
    "train_images_per_second": {"training ms per 32 images": lambda v: 32_000 / v},
    "test_images_per_second": {"test images/s": lambda v: v, "test ms per 32 images": lambda v: 32_000 / v},
    "peak_memory_mib": {"training MiB": lambda v: v},
}
"""Published costs in our units: metric of ours -> metric of the file -> conversion."""


def published_cost(method: str, protocol: str, dataset: str, metric: str, shots: int = 16) -> PublishedValue | None:
    """Return a published cost of training or testing in this project's units (see UNITS), None where there is none.

    Args:
        dataset: "Average" is the printed average, or the mean if all of a group's datasets are printed.
    """
    name, dataset = method_name(method), dataset_name(dataset)
    for unit, convert in UNITS[metric].items():
        rows = [row for row in _rows(COST) if (row["method"], row["metric"]) == (name, unit)]
        rows = [row for row in rows if (row["protocol"], int(row["shots"])) == (protocol, shots)]
        if own := [row for row in rows if row["dataset"] == dataset]:
            return PublishedValue(convert(float(own[0]["value"])), _origin(own[0]))
        if dataset == AVERAGE and {row["dataset"] for row in rows} >= set(datasets_of("base2new")):
            mean = fmean(float(row["value"]) for row in rows)
            return PublishedValue(convert(mean), f"{_origin(rows[0])}, mean of the datasets")
    return None


def cost_note(method: str) -> str:
    """Return one footnote with every published cost of a method, "" where there is none."""
    name = method_name(method)
    by_source: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(COST):
        if row["method"] == name:
            place = row["dataset"].lower() if row["dataset"] == AVERAGE else row["dataset"]
            shots = f" at {row['shots']} shots" if row["shots"] != "16" else ""
            where = f"{row['protocol'].replace('_', '-').replace('base2new', 'base-to-novel')}, {place}{shots}"
            by_source[_origin(row)][row["metric"]].append((where, row["value"]))
    listed = [
        f"{'; '.join(f'{metric} {_places(values)}' for metric, values in metrics.items())} from {source}"
        for source, metrics in by_source.items()
    ]
    return f"{name}, published cost: {'. '.join(listed)}." if listed else ""


def _places(values: list[tuple[str, str]]) -> str:
    """Return values with where they were measured; many are one mean."""
    if len(values) > 4:
        return f"{fmean(float(value) for _, value in values):.4g} (mean of {len(values)} datasets)"
    return ", ".join(f"{float(value):g} ({where})" for where, value in values)


def _origin(row: dict[str, str]) -> str:
    return f"{row['source']}, {row['machine']}" if row["machine"] else row["source"]
