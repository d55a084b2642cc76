"""Curves and points as data, for the page and for figures alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from reports.ablations import ablations
from reports.calibration import coverage_charts
from reports.chart_types import Chart, Point, Series, points
from reports.paper_layout import row_name
from reports.records import RecordedRun
from reports.scores import Score
from reports.table_types import Table
from reports.tables import base2new, few_shot
from runs.names import ZERO_SHOT, method_name

ZERO_SHOT_NAMES = {method_name(method) for method in ZERO_SHOT}
"""Labels of methods without training."""


def charts(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> list[Chart]:
    """Return all charts of these runs: few-shot curves, base against new, ablations; a method has one style in all."""
    plain = [run for run in runs if not run.line.swept]
    made = [
        *few_shot_curves(plain, seeds),
        *base_against_new(plain, seeds),
        *coverage_charts(plain),
        *ablations(runs, seeds),
    ]
    return _styled([chart for chart in made if chart.series])  # an average of methods on different datasets has none


def _styled(charts: Sequence[Chart]) -> list[Chart]:
    """Give each method a style; those in charts with few lines come first, so that they differ in colour there."""
    methods = [chart for chart in charts if not chart.of_one_method]
    in_order = sorted(methods, key=lambda chart: ("ablation", "few_shot", "scatter", "coverage").index(chart.kind))
    known = {label: i for i, label in enumerate(dict.fromkeys(s.label for chart in in_order for s in chart.series))}
    return [
        replace(
            chart,
            series=[
                replace(series, style=i if chart.of_one_method else known[series.label])
                for i, series in enumerate(chart.series)
            ],
        )
        for chart in charts
    ]


def few_shot_curves(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> list[Chart]:
    """Accuracy over shots, a chart for each dataset and their average, where there is more than one number of shots."""
    table = few_shot(runs, seeds)
    shots = [int(column.removesuffix("-shot")) for column in table.columns]
    if len(shots) < 2:
        return []
    curves = {
        dataset: [_curve(label, shots, scores) for label, scores in rows if _any(scores)]
        for dataset, rows in _by_dataset(table)
    }
    axes = ("images per class", "accuracy in %")
    return [Chart("few_shot", dataset, "", *axes, of, doubling=True) for dataset, of in curves.items() if of]


def _curve(label: str, shots: Sequence[int], scores: Sequence[Score]) -> Series:
    """Return a line over shots; a zero-shot method is one point at 0 shots."""
    if label in ZERO_SHOT_NAMES:
        return Series(label, points([(0.0, next(score for score in scores if score.mean is not None))]), star=True)
    return Series(label, points(zip(shots, scores, strict=True)))


def base_against_new(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> list[Chart]:
    """A point for each method, a chart for each dataset and their average."""
    found = []
    for dataset, rows in _by_dataset(base2new(runs, seeds)):
        series = [Series(label, [point]) for label, (base, new, *_) in rows if (point := _point(base, new))]
        if series:
            found.append(Chart("scatter", dataset, "", "base accuracy in %", "new accuracy in %", series))
    return found


def _point(base: Score, new: Score) -> Point | None:
    if base.mean is None or new.mean is None:
        return None
    incomplete = base.incomplete or new.incomplete
    return Point(base.mean, new.mean, new.deviation, min(base.seeds, new.seeds), incomplete, base.deviation)


def _by_dataset(table: Table) -> list[tuple[str, list[tuple[str, list[Score]]]]]:
    """(dataset, [(what tells the row apart, its scores)]); the usual preset needs no word."""
    rows = [(labels[0], row_name(table, labels), [cell.score for cell in cells]) for labels, cells in table.rows]
    return [(name, [row[1:] for row in of]) for name, of in groupby(rows, key=lambda row: row[0])]


def _any(scores: Iterable[Score]) -> bool:
    return any(score.mean is not None for score in scores)
