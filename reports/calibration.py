"""Calibration of base-to-novel runs, base and new apart: a table, and accuracy over coverage as a chart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from reports.chart_types import Chart, Point, Series
from reports.records import Line, RecordedRun, seeds_of, takes_part
from reports.scores import Score, average, score
from reports.table_types import Cell, Table
from reports.tables import AVERAGE, NO_PART, dataset_order, method_order, setup, with_rows
from runs.names import dataset_name, method_name

METRICS = {"ECE": (("ece",), 2), "NLL": (("nll",), 3), "Brier": (("brier",), 3)}
"""Head -> path in the record's calibration, digits."""
SCALED = {"T": (("temperature",), 2), "ECE at T": (("scaled", "ece"), 2), "NLL at T": (("scaled", "nll"), 3)}
"""The same of runs with TEST.FIT_TEMPERATURE."""
PARTS = ("base", "new")
CAPTION = (
    "How far probabilities can be trusted, on base and new classes; lower is better. ECE: expected calibration "
    "error in %, 15 bins of equal width; NLL: negative log-likelihood in nats; Brier: squared error of the "
    "probabilities, 0 to 2."
)
OF_SCALED = (
    " T: temperature fitted on validation images of the training classes; ECE and NLL at T: of the logits divided "
    "by it."
)


def calibration(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> Table:
    """Return the metrics by dataset and method, the average over datasets first; no rows where no run has them."""
    measured = _measured(runs)
    cells: dict[tuple[Line, str, str], list[RecordedRun]] = defaultdict(list)
    for run in measured:
        cells[run.line, run.dataset, run.part].append(run)
    datasets = sorted({run.dataset for run in measured}, key=dataset_order)
    scaled = any(_read("temperature")(run) is not None for run in measured)
    metrics = METRICS | (SCALED if scaled else {})
    columns = [(part, head, *metrics[head]) for part in PARTS for head in metrics]

    def of(line: Line, dataset: str, part: str, path: tuple[str, ...]) -> Score:
        if dataset == AVERAGE:
            return average([of(line, name, part, path) for name in datasets])
        if part == "new" and not takes_part(line.method, "base2new", "test"):
            return Score(incomplete=NO_PART)
        return score(cells.get((line, dataset, part), ()), seeds or seeds_of("base2new"), _read(*path))

    rows = [
        ((dataset_name(dataset),), line, [Cell(of(line, dataset, part, path)) for part, _, path, _ in columns])
        for dataset in ([AVERAGE, *datasets] if len(datasets) > 1 else datasets)
        for line in sorted({run.line for run in measured}, key=method_order)
    ]
    heads = tuple(f"{part} {head}" for part, head, *_ in columns)
    digits = tuple(digits for *_, digits in columns)
    caption = CAPTION + (OF_SCALED if scaled else "") + (f" {setup(measured)}" if measured else "")
    table = Table("calibration", "Calibration", caption, ("Dataset", "Method"), heads, digits, higher_is_better=False)
    return with_rows(table, [row for row in rows if any(cell.score.mean is not None for cell in row[2])])


def coverage_charts(runs: Sequence[RecordedRun]) -> list[Chart]:
    """Return accuracy over coverage, a panel for base and for new: their average first, then each dataset."""
    measured = _measured(runs)
    datasets = sorted({run.dataset for run in measured}, key=dataset_order)
    groups = {AVERAGE: set(datasets)} if len(datasets) > 1 else {}
    groups |= {dataset_name(name): {name} for name in datasets}
    return [
        Chart("coverage", group, part, "coverage", "accuracy in %", series)
        for group, of in groups.items()
        for part in PARTS
        if (series := _curves([run for run in measured if run.part == part and run.dataset in of], of))
    ]


def _curves(runs: Sequence[RecordedRun], datasets: set[str]) -> list[Series]:
    found = []
    for line in sorted({run.line for run in runs}, key=method_order):
        own = [run for run in runs if run.line == line]
        if {run.dataset for run in own} == datasets:
            by_dataset = [_mean_curve([run for run in own if run.dataset == name]) for name in datasets]
            fractions = sorted(set.intersection(*(set(curve) for curve in by_dataset)))
            label = " ".join(filter(None, (method_name(line.method), "" if line.preset == "paper" else line.preset)))
            points = [Point(x, fmean(curve[x] for curve in by_dataset), None, 0) for x in fractions]
            found.append(Series(label, points))
    return found


def _mean_curve(runs: Sequence[RecordedRun]) -> dict[float, float]:
    """Share -> mean accuracy over the seeds."""
    found: dict[float, list[float]] = defaultdict(list)
    for run in runs:
        curve = run.record["calibration"].get("coverage")
        for pair in curve if isinstance(curve, list) else ():
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(value, int | float) for value in pair):
                found[float(pair[0])].append(float(pair[1]))
    return {fraction: fmean(values) for fraction, values in found.items()}


def _measured(runs: Sequence[RecordedRun]) -> list[RecordedRun]:
    own = [run for run in runs if run.protocol == "base2new" and run.part in PARTS and run.complete]
    return [run for run in own if run.record.get("calibration") and not run.line.swept]


def _read(*path: str) -> Callable[[RecordedRun], Any]:
    return lambda run: run.number("calibration", *path)
