"""Tables of results: each cell has the mean of its runs and the published result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from reports import reference_results
from reports.records import Line, RecordedRun, seeds_of, takes_part, topic_of
from reports.reference_results import Reference
from reports.scores import Score, average, harmonic, mean_of_harmonics, score
from reports.table_types import Cell, Table
from runs.names import dataset_name, method_name
from runs.sources import published_note

AVERAGE = "Average"
MEAN_H = "mean H"
"""Head of the mean of the datasets' H."""
TESTED = ("new", "target")
"""Parts that a run of the stage `test` is for."""
NO_PART = "takes no part"
"""Text of a cell that a method never has a run for: a probe of its own classes says nothing of others."""
NOTHING = ("", "not run", NO_PART, "needs both halves")
"""Texts of cells that are no reason for a row."""


def accuracy_tables(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> list[Table]:
    """Base-to-novel, cross-dataset, domain generalization, few-shot, then their ablations: those with runs.

    Args:
        seeds: that a cell needs to be complete; None: those of the protocol.
    """
    plain = by_protocol([run for run in runs if not run.line.swept], seeds)
    varied = [run for run in runs if run.line.swept]
    swept = [
        replace(one, name=f"{one.name}_ablations", title=f"{one.title}: ablations", caption=one.caption + _keys(varied))
        for one in by_protocol(varied, seeds)
    ]
    return [*plain, *swept]


def _keys(runs: Sequence[RecordedRun]) -> str:
    """Return which setting each symbol stands for."""
    found = sorted({f"{symbol}: {topic_of(key)}" for run in runs for key, symbol in run.line.symbols})
    return f" Settings: {', '.join(found)}." if found else ""


def by_protocol(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> list[Table]:
    """A table for each protocol that there are runs of."""
    makers = (base2new, partial(across, "cross_dataset"), partial(across, "domain_generalization"), few_shot)
    return [table for make in makers if (table := make(runs, seeds)).rows]


def base2new(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> Table:
    """Base, new and H by dataset and method."""
    cells = _Cells("base2new", [run for run in runs if run.protocol == "base2new"], seeds)

    def of(line: Line, dataset: str, column: str) -> Score:
        if column == "H":
            return harmonic(of(line, dataset, "base"), of(line, dataset, "new"))
        if column == MEAN_H:
            each = [(of(line, name, "base"), of(line, name, "new")) for name in cells.datasets]
            return mean_of_harmonics(each) if dataset == AVERAGE else Score()
        if dataset == AVERAGE:
            return average([of(line, name, column) for name in cells.datasets])
        return cells.score(line, dataset, column)

    columns = ("base", "new", "H", MEAN_H) if len(cells.datasets) > 1 else ("base", "new", "H")
    caption = (
        "Accuracy in % on the classes trained on (base) and the others (new). H is the harmonic mean of the two means"
    )
    caption += ", not the mean of the seeds' H; the average's H is that of the average base and new"
    if MEAN_H in columns:
        caption += f". {MEAN_H} is the other average in use: the mean of the datasets' H"
    table = Table(
        "base2new",
        "Base-to-novel generalization",
        f"{caption}. {setup(cells.runs)}",
        ("Dataset", "Method"),
        columns,
        (2,) * len(columns),
    )
    return _filled(table, cells, of, lambda column, dataset: ({"new": "novel"}.get(column, column), 16))


def across(protocol: str, runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> Table:
    """Cross-dataset and domain generalization: accuracy by dataset and method. The average leaves the source out."""
    targets = [run for run in runs if run.protocol == protocol and run.part == "target"]
    if not targets and any(run.part == "target" for run in runs):
        runs = []  # sources alone stand in the other protocol's table
    lines = {run.line for run in targets}
    sources = [run for run in runs if run.protocol == "cross_dataset" and run.part == "source"]
    if protocol != "cross_dataset":
        sources = [run for run in sources if run.line in lines]
    cells = _Cells(protocol, [*sources, *targets], seeds)
    outside = {run.dataset for run in targets}

    def of(line: Line, dataset: str, column: str) -> Score:
        if dataset == AVERAGE:
            return average([of(line, name, column) for name in cells.datasets if name in outside])
        return cells.score(line, dataset, "target" if dataset in outside else "source")

    title = {"cross_dataset": "Cross-dataset evaluation", "domain_generalization": "Domain generalization"}[protocol]
    caption = "Accuracy in %, trained on all classes of the source. The average is over the targets only."
    caption += f" {setup(cells.runs)}"
    table = Table(protocol, title, caption, ("Dataset", "Method"), ("accuracy",), (2,))
    return _filled(table, cells, of, lambda column, dataset: ("acc", 16), averaged=outside)


def few_shot(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> Table:
    """Accuracy by dataset and method, a column for each number of shots."""
    cells = _Cells("few_shot", [run for run in runs if run.protocol == "few_shot"], seeds)
    shots = {f"{k}-shot": k for k in sorted({run.shots for run in cells.runs})}

    def of(line: Line, dataset: str, column: str) -> Score:
        if dataset == AVERAGE:
            return average([of(line, name, column) for name in cells.datasets])
        return cells.score(line, dataset, "all", shots[column])

    caption = f"Accuracy in %, trained and tested on all classes, by images per class. {setup(cells.runs)}"
    columns = tuple(shots)
    table = Table("few_shot", "Few-shot classification", caption, ("Dataset", "Method"), columns, (2,) * len(columns))
    return _filled(table, cells, of, lambda column, dataset: ("acc", shots[column]))


def setup(runs: Sequence[RecordedRun]) -> str:
    """Return what a caption says of the runs: shots, seeds, backbone, prediction rule, settings changed for all."""
    shots, seeds = sorted({run.shots for run in runs}), sorted({run.seed for run in runs})
    backbones = sorted({run.line.backbone for run in runs} - {""})
    fixed = sorted({f"{key}={value}" for run in runs for key, value in run.line.fixed})
    parts = [
        f"{', '.join(map(str, shots))} shots",
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}",
        *([", ".join(backbones)] if backbones else []),
    ]
    changed = f" Settings changed for all runs: {', '.join(fixed)}." if fixed else ""
    return f"Setup: {'; '.join(parts)}.{changed}{_prediction_rule(runs)}{_other_images(runs)}"


def _prediction_rule(runs: Sequence[RecordedRun]) -> str:
    """Return by which rule the classes of each part were predicted, and what decided it; empty of older records."""
    parts: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for run in runs:
        if why := run.record.get("test_classes_reason"):
            parts[why][run.record.get("test_classes", "")].add(run.part)
    rules = []
    for why, kinds in sorted(parts.items()):
        named = [f"{kind} for {' and '.join(sorted(names))}" for kind, names in sorted(kinds.items())]
        rules.append(f"{', '.join(named)} ({why})")
    return f" Prediction rule: {'; '.join(rules)}." if rules else ""


def _other_images(runs: Sequence[RecordedRun]) -> str:
    """Return a warning about datasets whose runs were tested on different images and are not comparable."""
    tested: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for run in runs:
        images = run.record.get("images")
        test = images.get("test") if isinstance(images, dict) else None
        if isinstance(test, dict):
            for kind in ("sha256", "bytes"):  # of the images' names, and of themselves; older records lack the latter
                if kind in test:
                    tested[run.dataset][f"{run.part} {kind}"].add(str(test[kind]))
    found = [dataset_name(name) for name, parts in sorted(tested.items()) if any(len(s) > 1 for s in parts.values())]
    return f" Warning: runs on {', '.join(found)} were tested on different images." if found else ""


class _Cells:
    """Runs by row and part, and what is known of their order."""

    def __init__(self, protocol: str, runs: Sequence[RecordedRun], seeds: Sequence[int] | None):
        self.protocol, self.runs, self.seeds = protocol, runs, seeds
        self._of: dict[tuple[Line, str, str], list[RecordedRun]] = defaultdict(list)
        for run in runs:
            self._of[run.line, run.dataset, run.part].append(run)
        self.lines = sorted({run.line for run in runs}, key=method_order)
        self.datasets = sorted({run.dataset for run in runs}, key=dataset_order)

    def score(self, line: Line, dataset: str, part: str, shots: int | None = None) -> Score:
        """Notes on the runs of a cell."""
        found = [run for run in self._of.get((line, dataset, part), ()) if shots in (None, run.shots)]
        if not found and part in TESTED and not takes_part(line.method, self.protocol, "test"):
            return Score(incomplete=NO_PART)
        expected = self.seeds or (seeds_of(found[0].protocol) if found else ())
        return score(found, expected)


def _filled(
    table: Table, cells: _Cells, of: Callable, key: Callable[..., tuple[Any, int]], averaged: set[str] | None = None
) -> Table:
    """The table with its rows: the average first where there is more than one dataset to average over."""
    over = [name for name in cells.datasets if averaged is None or name in averaged]
    datasets = [AVERAGE, *cells.datasets] if len(over) > 1 else cells.datasets
    rows = []
    for dataset in datasets:
        for line in cells.lines:
            scores = [of(line, dataset, column) for column in table.columns]
            if all(one.mean is None and one.incomplete in NOTHING for one in scores):
                continue
            metrics = [key(column, dataset) for column in table.columns]
            printed = [_reference(table.name, line, dataset, *metric, over) for metric in metrics]
            saw = published_note(line.method)
            cells_of_row = [_cell(one, other, saw) for one, other in zip(scores, printed, strict=True)]
            rows.append(((dataset_name(dataset),), line, cells_of_row))
    return with_rows(table, rows)


def _reference(table: str, line: Line, dataset: str, metric: str, shots: int, averaged: list[str]) -> Reference:
    """Return what a run of this line may be compared with: of its backbone and its settings, over the same datasets."""
    if line.swept or line.fixed:
        return Reference()
    whole = reference_results.datasets_of(table)
    if dataset == AVERAGE and {dataset_name(name) for name in averaged} != set(whole):
        return Reference()
    return reference_results.reference(table, line.method, dataset, metric, shots, line.backbone)


def _cell(score: Score, printed: Reference, saw: str) -> Cell:
    """Return a score beside its published result; `saw` is the note on what the published method learned from."""
    notes: tuple[str, ...] = (printed.note,) if printed.note else ()
    if printed.published is None:
        return Cell(score, notes=notes, reruns=printed.reruns)
    notes += (saw,) if saw else ()
    return Cell(score, printed.published.value, printed.published.source, notes, printed.reruns)


def with_rows(table: Table, rows: Sequence[tuple[tuple[str, ...], Line, list[Cell]]]) -> Table:
    """The table with rows of first labels, line, cells. Preset and the like get a column where lines differ in them."""
    extra = [
        (head, of)
        for head, of in (
            ("Preset", lambda line: line.preset),
            ("Backbone", lambda line: line.backbone),
            ("Settings", Line.settings),
        )
        if len({of(line) for _, line, _ in rows}) > 1 or (head == "Settings" and any(line.swept for _, line, _ in rows))
    ]
    labelled = [
        ((*first, method_name(line.method), *(of(line) for _, of in extra)), cells) for first, line, cells in rows
    ]
    return replace(table, labels=(*table.labels, *(head for head, _ in extra)), rows=labelled)


def presets_side_by_side(table: Table) -> Table | None:
    """Rows of preset `fair` beside the same of `paper`; None where there are not both."""
    if "Preset" not in table.labels:
        return None
    at = table.labels.index("Preset")
    without = {(*labels[:at], *labels[at + 1 :], labels[at]): cells for labels, cells in table.rows}
    rows = [
        (labels[:-1], [Cell(mine.score, other.score.mean) for mine, other in zip(cells, paper, strict=True)])
        for labels, cells in without.items()
        if labels[-1] == "fair" and (paper := without.get((*labels[:-1], "paper")))
    ]
    if not rows:
        return None
    return replace(
        table,
        name=f"{table.name}_presets",
        title=f"{table.title}: preset fair beside paper",
        caption=f"{table.caption} Numbers are of preset fair; difference: fair minus paper.",
        labels=(*table.labels[:at], *table.labels[at + 1 :]),
        rows=rows,
        beside="paper",
    )


def dataset_order(name: str) -> tuple[int, str]:
    """The papers' order, then by name."""
    known = [*reference_results.datasets_of("base2new"), *reference_results.datasets_of("domain_generalization")]
    name = dataset_name(name)
    return (known.index(name) if name in known else len(known), name)


def method_order(line: Line) -> tuple[int, Line]:
    """The papers' order, then by name."""
    known, name = reference_results.methods_of("base2new"), method_name(line.method)
    return (known.index(name) if name in known else len(known), line)
