"""Results over a swept setting, as charts.

`TRAINER.MMRL.ALPHA` and `TRAINER.MMRLpp.ALPHA` are one topic, `ALPHA`: methods share a chart of what both have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from reports.chart_types import Chart, Point, Series, points
from reports.records import USUAL_PRESET, Line, RecordedRun, text_of, topic_of
from reports.scores import Score, flatten
from reports.tables import by_protocol, method_order
from runs.protocol import load_protocol, protocols

Columns = dict[str, dict[str, list[Point]]]
"""Column of the table -> line -> points."""


def ablations(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> list[Chart]:
    """Return charts of the results over each swept setting. Runs without a sweep join with their own value of it.

    One method: a chart for each dataset, with a line for base, new and H. Several: a panel for each of these, with
    a line for each method.
    """
    topics = sorted({topic_of(key) for run in runs for key, _ in run.line.swept})
    return [chart for topic in topics for chart in _ablation(topic, runs, seeds)]


@cache
def _names() -> dict[str, str]:
    """Topic -> what it is called, from the protocols that vary it."""
    with_axis = [data for data in map(load_protocol, protocols()) if "axis" in data]
    return {topic_of(key): data["axis"] for data in with_axis for key in data["set"]}


def _ablation(topic: str, runs: Sequence[RecordedRun], seeds: Sequence[int] | None) -> list[Chart]:
    keys = {_without(run.line, key): key for run in runs if (key := _swept_key(run.line, topic))}
    valued = list(_valued(runs, topic, keys))
    values = sorted({value for _, _, value in valued}, key=_in_order)
    numbers = all(_is_number(value) for value in values)
    lines, axis = sorted(keys, key=method_order), _names().get(topic, topic)
    backbones = len({line.backbone for line in lines}) > 1
    found: dict[str, Columns] = {}
    for line in lines:
        for i, value in enumerate(values):
            of_value = [run for run, own, its in valued if own == line and its == value]
            for dataset, column, score in _results(of_value, seeds):
                of_column = found.setdefault(dataset, {}).setdefault(column, {})
                at = float(value) if numbers else float(i)
                of_column.setdefault(_label(line, backbones), []).extend(points([(at, score)]))
    ticks = [] if numbers else values
    return [
        Chart("ablation", f"{group}: {axis}", name, axis, "accuracy in %", series, ticks, of_one_method=not name)
        for dataset, columns in found.items()
        for group, name, series in _panels(dataset, columns)
        if series
    ]


def _panels(dataset: str, columns: Columns) -> Iterator[tuple[str, str, list[Series]]]:
    """(title of the figure, of the panel, lines) of a dataset; a single point is no line."""
    labels = list(dict.fromkeys(label for of in columns.values() for label in of))
    if len(labels) == 1:
        yield f"{dataset}, {labels[0]}", "", _lines({column: of[labels[0]] for column, of in columns.items()})
    else:
        yield from ((dataset, column, _lines(of)) for column, of in columns.items())


def _lines(of: dict[str, list[Point]]) -> list[Series]:
    return [Series(label, found) for label, found in of.items() if len(found) > 1]


def _valued(runs: Sequence[RecordedRun], topic: str, keys: dict[Line, str]) -> Iterator[tuple[RecordedRun, Line, str]]:
    """Runs of an ablation with the line they belong to and their value."""
    for run in runs:
        own = _swept_key(run.line, topic)
        line = _without(run.line, own) if own else run.line
        if line in keys and (value := _value(run, own or keys[line])) is not None:
            yield run, line, value


def _results(runs: Sequence[RecordedRun], seeds: Sequence[int] | None) -> list[tuple[str, str, Score]]:
    """(dataset, with any protocol but base-to-novel; column of the table; score) of runs of one line that may
    differ in what they swept."""
    alike = [replace(run, line=replace(run.line, swept=())) for run in runs]
    return [
        (labels[0] if table.name == "base2new" else f"{labels[0]}, {table.title.lower()}", column, cell.score)
        for table in by_protocol(alike, seeds)
        for labels, cells in table.rows
        for column, cell in zip(table.columns, cells, strict=True)
    ]


def _label(line: Line, backbones: bool) -> str:
    preset = "" if line.preset == USUAL_PRESET else line.preset
    return " ".join(filter(None, (line.label(), preset, line.backbone if backbones else "")))


def _swept_key(line: Line, topic: str) -> str | None:
    return next((key for key, _ in line.swept if topic_of(key) == topic), None)


def _without(line: Line, key: str) -> Line:
    return replace(line, swept=tuple(pair for pair in line.swept if pair[0] != key))


def _value(run: RecordedRun, key: str) -> str | None:
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
