"""Efficiency table: time and memory of training and testing, as the runs measured them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from statistics import fmean
from typing import Any

from reports import reference_results
from reports.records import Line, RecordedRun, in_no_table, seeds_of, topic_of
from reports.reference_results import PublishedValue
from reports.scores import Score, score
from reports.table_types import Cell, Table
from reports.tables import AVERAGE, dataset_order, method_order, with_rows
from runs.names import dataset_name

Read = Callable[[RecordedRun], Any]


def _measured(name: str) -> Read:
    return lambda run: run.number("efficiency", name) if run.complete else None


def _seconds(run: RecordedRun) -> float | None:
    return run.number("timing", "seconds") if run.complete else None


def _parameters(run: RecordedRun) -> float | None:
    return run.number("trainable_params") if run.complete else None


COLUMNS: dict[str, tuple[str, int, Read]] = {
    "trainable parameters": ("trainable_params", 0, _parameters),
    "seconds": ("seconds", 1, _seconds),
    "training seconds": ("train_seconds", 1, _measured("train_seconds")),
    "training images/s": ("train_images_per_second", 1, _measured("train_images_per_second")),
    "test images/s": ("test_images_per_second", 1, _measured("test_images_per_second")),
    "peak memory MiB": ("peak_memory_mib", 0, _measured("peak_memory_mib")),
}
"""Head -> name of the published metric, digits, how to read it."""
OTHER_MACHINES = "Published times and memory are of other machines (see the sources), so no difference is taken."
RATES = ("train_images_per_second", "test_images_per_second", "peak_memory_mib")
PROTOCOLS = {"base2new": "base-to-novel", "few_shot": "few-shot", "cross_dataset": "cross-dataset"}


def efficiency(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> Table:
    """Return a row for each protocol, number of shots, device, dataset and method: the details of `cost`."""
    trained = sorted((run for run in runs if run.trained and run.complete and not in_no_table(run)), key=_order)
    rows = []
    for _, group in groupby(trained, key=_order):
        runs_of_row = list(group)
        run = runs_of_row[0]
        first = (PROTOCOLS[run.protocol], str(run.shots), run.device, dataset_name(run.dataset))
        rows.append((first, run.line, [_cell(runs_of_row, seeds, *column) for column in COLUMNS.values()]))
    table = Table(
        "efficiency_by_dataset",
        "Efficiency by dataset",
        "Of runs that train, mean over seeds. seconds: the whole run with start and test; training seconds: steps and "
        "waiting for images; peak memory: torch's on a graphics card, else the process's.",
        ("Protocol", "Shots", "Device", "Dataset", "Method"),
        tuple(COLUMNS),
        tuple(digits for _, digits, _ in COLUMNS.values()),
        higher_is_better=False,
        differences=False,
    )
    if taken := time_taken(runs):
        table = replace(table, caption=f"{table.caption} {taken}")
    if any(cell.beside is not None for *_, cells in rows for cell in cells):
        table = replace(table, caption=f"{table.caption} {OTHER_MACHINES}")
    return with_rows(table, rows)


def cost(runs: Sequence[RecordedRun], seeds: Sequence[int] | None = None) -> Table:
    """Return one row for each method and device: means over datasets (and shots) of the means over seeds.

    Seconds of a run have a column for each protocol. Rates and memory are over all runs that trained.
    """
    trained = [run for run in runs if run.trained and run.complete and not in_no_table(run)]
    trained = [run for run in trained if not run.line.swept]
    protocols = [name for name in PROTOCOLS if any(run.protocol == name for run in trained)]
    seconds = {f"s/run, {PROTOCOLS[name]}": (name, "seconds", 0, _seconds) for name in protocols}
    measured = {head: ("", name, digits, read) for head, (name, digits, read) in COLUMNS.items() if name in RATES}
    columns = {"parameters": ("", "trainable_params", 0, _parameters), **seconds, **measured}
    rows: list[tuple[tuple[str, ...], Line, list[Cell]]] = []
    for (line, device), group in groupby(sorted(trained, key=_by_method), key=lambda run: (run.line, run.device)):
        of_row = list(group)
        cells = []
        for protocol, metric, _, read in columns.values():
            own = [run for run in of_row if protocol in ("", run.protocol)]
            each = [score(alike, seeds or (), read) for alike in _alike(own)]
            there = [one for one in each if one.mean is not None]
            means = [one.mean for one in there if one.mean is not None]
            fewest = min(there, key=lambda one: one.seeds, default=Score())
            own_score = Score(fewest.by_seed, fmean(means) if means else None)
            published = _published(line, protocol, metric)
            cells.append(Cell(own_score, published.value, published.source) if published else Cell(own_score))
        if note := reference_results.cost_note(line.method):
            cells[0] = replace(cells[0], notes=(note,))
        rows.append(((device,), line, cells))
    caption = (
        "One row for each method: means over datasets and seeds of runs that train. s/run: seconds of a whole run with "
        "start and test; images/s: in training and in testing; memory: torch's peak on a graphics card, else the "
        f"process's. {time_taken(runs)}"
    )
    labels: tuple[str, ...] = ("Device", "Method")
    devices = {first[0] for first, _, _ in rows}
    if len(devices) == 1:
        labels, rows = labels[1:], [((), line, cells) for _, line, cells in rows]
        caption += f" Measured on: {', '.join(devices)}." if devices != {""} else ""
    if any(cell.beside is not None for *_, cells in rows for cell in cells):
        caption += f" {OTHER_MACHINES}"
    digits = tuple(digits for _, _, digits, _ in columns.values())
    table = Table("efficiency", "Efficiency", caption, labels, tuple(columns), digits)
    return with_rows(replace(table, higher_is_better=False, differences=False), rows)


def _published(line: Line, protocol: str, metric: str) -> PublishedValue | None:
    """Return the published cost over a protocol's datasets; what no protocol changes is that of base-to-novel."""
    if not _comparable(line):
        return None
    where = {"cross_dataset": "ImageNet"}.get(protocol, AVERAGE)
    if metric == "trainable_params":
        where = "ImageNet"
    return reference_results.published_cost(line.method, protocol or "base2new", where, metric)


def _by_method(run: RecordedRun) -> tuple:
    return (run.device, method_order(run.line))


def _alike(runs: Sequence[RecordedRun]) -> list[list[RecordedRun]]:
    """Runs in groups that differ in nothing but the seed."""
    found: dict[tuple, list[RecordedRun]] = defaultdict(list)
    for run in runs:
        found[run.protocol, run.dataset, run.shots].append(run)
    return list(found.values())


def time_taken(runs: Sequence[RecordedRun]) -> str:
    """Return the total time of complete runs by protocol; each of several seeds in one pass counts with the whole.

    Copied runs count where they were trained.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        if "copied_from" not in run.record and (took := _seconds(run)) is not None:
            topics = dict.fromkeys(topic_of(key) for key, _ in run.line.swept)
            name = f"{', '.join(topics)} swept" if topics else run.protocol.replace("_", " ") or "no protocol"
            seconds[name].append(took)
    sums = [f"{name} {len(each)} runs in {_hours(sum(each))}" for name, each in seconds.items()]
    return f"Complete runs took, seconds added up: {'; '.join(sums)}." if sums else ""


def _hours(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min" if minutes > 9 else f"{seconds:.0f} s"


def _order(run: RecordedRun) -> tuple:
    protocol = list(PROTOCOLS).index(run.protocol)
    return (protocol, run.shots, run.device, dataset_order(run.dataset), run.dataset, method_order(run.line))


def _cell(runs: list[RecordedRun], seeds: Sequence[int] | None, metric: str, digits: int, read: Read) -> Cell:
    """A measured number beside the published one."""
    run, found = runs[0], score(runs, seeds or seeds_of(runs[0].protocol), read)
    if found.mean is None:  # the record is of before this was measured
        return Cell(replace(found, incomplete=""))
    if metric != "trainable_params":
        notes = dict.fromkeys(note for run in runs for note in _timing_notes(run))
        found = replace(found, notes=(*found.notes, *notes))
    elif not found.deviation:  # a count that is the same for every seed
        found = replace(found, deviation=None)
    published = None
    if _comparable(run.line):
        published = reference_results.published_cost(run.line.method, run.protocol, run.dataset, metric, run.shots)
    return Cell(found, published.value, published.source) if published else Cell(found)


def _comparable(line: Line) -> bool:
    """Return whether a line has the published backbone and settings."""
    return line.backbone == reference_results.BACKBONE and not line.swept and not line.fixed


def _timing_notes(run: RecordedRun) -> list[str]:
    """Return the reasons why a run's seconds are not those of an undisturbed run; empty if they are."""
    notes = []
    if (together := run.number("efficiency", "runs_in_process") or 1) > 1:
        notes.append(f"{together:g} seeds were run in one pass: the time and memory are the pass's, not one run's.")
    epochs = run.number("config", "OPTIM", "MAX_EPOCH")
    if 0 < (run.number("efficiency", "train_epochs") or 0) < (epochs or 0):
        notes.append("A run went on after an interruption: its seconds are the last attempt's.")
    return notes
