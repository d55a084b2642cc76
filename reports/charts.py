"""Curves and points as data, for the page and for figures alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from reports.records import Line, Run, text_of
from reports.scores import Score, flatten
from reports.tables import Table, base2new, by_protocol, few_shot


@dataclass(frozen=True)
class Point:
    """A result at `x`; `deviation` over the seeds is that of `y`, None for a single seed."""

    x: float
    y: float
    deviation: float | None
    seeds: int
    incomplete: str = ""


@dataclass(frozen=True)
class Series:
    """A line of a chart, or one method's point of a scatter plot."""

    label: str
    points: list[Point]


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        kind: few_shot, scatter or ablation.
        ticks: for values that are no numbers: their names, at 0, 1, ...; else empty.
        doubling: whether x is better shown by its logarithm (1, 2, 4, 8, 16 shots).
    """

    kind: str
    name: str
    x: str
    y: str
    series: list[Series] = field(default_factory=list)
    ticks: list[str] = field(default_factory=list)
    doubling: bool = False


def charts(runs: Sequence[Run], seeds: Sequence[int] | None = None) -> list[Chart]:
    """All that these runs give: few-shot curves, base against new, ablations."""
    plain = [run for run in runs if not run.line.swept]
    return [*few_shot_curves(plain, seeds), *base_against_new(plain, seeds), *ablations(runs, seeds)]


def few_shot_curves(runs: Sequence[Run], seeds: Sequence[int] | None = None) -> list[Chart]:
    """Accuracy over shots, a chart for each dataset and their average, where there is more than one number of shots."""
    table = few_shot(runs, seeds)
    shots = [int(column.removesuffix("-shot")) for column in table.columns]
    if len(shots) < 2:
        return []
    return [
        Chart(
            "few_shot",
            dataset,
            "shots",
            "accuracy in %",
            [Series(label, _points(zip(shots, scores, strict=True))) for label, scores in rows if _any(scores)],
            doubling=True,
        )
        for dataset, rows in _by_dataset(table)
    ]


def base_against_new(runs: Sequence[Run], seeds: Sequence[int] | None = None) -> list[Chart]:
    """A point for each method, a chart for each dataset and their average."""
    found = []
    for dataset, rows in _by_dataset(base2new(runs, seeds)):
        series = [
            Series(label, [Point(base.mean, new.mean, new.deviation, new.seeds, base.incomplete or new.incomplete)])
            for label, (base, new, _) in rows
            if base.mean is not None and new.mean is not None
        ]
        if series:
            found.append(Chart("scatter", dataset, "base accuracy in %", "new accuracy in %", series))
    return found


def ablations(runs: Sequence[Run], seeds: Sequence[int] | None = None) -> list[Chart]:
    """Results over a swept key. A run that sweeps nothing joins in with its own value; other swept keys stay fixed.

    One method: a chart for each dataset, with a line for base, new and H. Several: a chart for each of these, with
    a line for each method.
    """
    keys = sorted({key for run in runs for key, _ in run.line.swept})
    return [chart for key in keys for chart in _ablation(key, runs, seeds)]


def _ablation(key: str, runs: Sequence[Run], seeds: Sequence[int] | None) -> list[Chart]:
    swept = {_without(run.line, key) for run in runs if key in dict(run.line.swept)}
    valued = [(run, value) for run in runs if _without(run.line, key) in swept and (value := _value(run, key))]
    values = sorted({value for _, value in valued}, key=_in_order)
    numbers = all(_is_number(value) for value in values)
    places = {value: float(value) if numbers else float(i) for i, value in enumerate(values)}
    found: dict[str, dict[str, dict[str, list[Point]]]] = {}  # dataset -> column -> line -> points
    for line in sorted(swept):
        label = f"{line.label()} {line.preset}".strip()
        for value in values:
            of_value = [run for run, own in valued if own == value and _without(run.line, key) == line]
            for dataset, column, score in _results(of_value, seeds):
                points = found.setdefault(dataset, {}).setdefault(column, {}).setdefault(label, [])
                points += _points([(places[value], score)])
    return [
        Chart("ablation", f"{name}: {key}", key, "accuracy in %", series, [] if numbers else values)
        for dataset, columns in found.items()
        for name, series in _arranged(dataset, columns)
        if series
    ]


def _arranged(dataset: str, columns: dict[str, dict[str, list[Point]]]) -> list[tuple[str, list[Series]]]:
    """(name, lines) of the charts of a dataset; a single point is no line."""
    lines = list(dict.fromkeys(line for of in columns.values() for line in of))
    if len(lines) == 1:
        turned = {f"{lines[0]}, {dataset}": {column: of[lines[0]] for column, of in columns.items()}}
    else:
        turned = {f"{dataset}, {column}": of for column, of in columns.items()}
    return [
        (name, [Series(label, points) for label, points in of.items() if len(points) > 1])
        for name, of in turned.items()
    ]


def _results(runs: Sequence[Run], seeds: Sequence[int] | None) -> list[tuple[str, str, Score]]:
    """(dataset and protocol, column of the table, score) of runs of one line that may differ in what they swept."""
    alike = [replace(run, line=replace(run.line, swept=())) for run in runs]
    return [
        (f"{labels[0]}, {table.title.lower()}", column, cell.score)
        for table in by_protocol(alike, seeds)
        for labels, cells in table.rows
        for column, cell in zip(table.columns, cells, strict=True)
    ]


def _without(line: Line, key: str) -> Line:
    return replace(line, swept=tuple(pair for pair in line.swept if pair[0] != key))


def _value(run: Run, key: str) -> str | None:
    value = dict(run.line.swept).get(key)
    if value is None:
        value = flatten(run.record.get("config") or {}).get(key)
    return None if value is None else text_of(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower() not in ("nan", "inf", "-inf")


def _in_order(text: str) -> tuple[bool, list[float], str]:
    """Numbers by size, other values by the numbers in them."""
    if _is_number(text):
        return (True, [float(text)], "")
    return (False, [float(part) for part in re.findall(r"\d+", text)], text)


def _by_dataset(table: Table) -> list[tuple[str, list[tuple[str, list[Score]]]]]:
    """(dataset, [(what tells the row apart, its scores)])"""
    rows = [(labels[0], " ".join(filter(None, labels[1:])), [c.score for c in cells]) for labels, cells in table.rows]
    return [(name, [row[1:] for row in of]) for name, of in groupby(rows, key=lambda row: row[0])]


def _points(scores: Iterable[tuple[float, Score]]) -> list[Point]:
    return [Point(x, s.mean, s.deviation, s.seeds, s.incomplete) for x, s in scores if s.mean is not None]


def _any(scores: Iterable[Score]) -> bool:
    return any(score.mean is not None for score in scores)
