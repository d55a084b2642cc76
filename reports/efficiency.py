"""The efficiency table: what training and testing cost, from what the runs measured of themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from reports import reference_results
from reports.ablations import topic_of
from reports.records import Run, in_no_table, seeds_of
from reports.scores import score
from reports.tables import Cell, Table, dataset_order, method_order, with_rows

Read = Callable[[Run], Any]


def _measured(name: str) -> Read:
    return lambda run: (run.record.get("efficiency") or {}).get(name) if run.complete else None


def _seconds(run: Run) -> float | None:
    return (run.record.get("timing") or {}).get("seconds") if run.complete else None


def _parameters(run: Run) -> int | None:
    return run.record.get("trainable_params") if run.complete else None


COLUMNS: dict[str, tuple[str, int, Read]] = {
    "trainable parameters": ("trainable_params", 0, _parameters),
    "seconds": ("seconds", 1, _seconds),
    "training seconds": ("train_seconds", 1, _measured("train_seconds")),
    "training images/s": ("train_images_per_second", 1, _measured("train_images_per_second")),
    "test images/s": ("test_images_per_second", 1, _measured("test_images_per_second")),
    "peak memory MiB": ("peak_memory_mib", 0, _measured("peak_memory_mib")),
}
"""Head -> name of the published metric, digits, how to read it."""
OTHER_MACHINES = (
    "Published times and memory are of other machines (see the sources), so their differences compare machines too."
)
PROTOCOLS = {"base2new": "base-to-new", "few_shot": "few-shot", "cross_dataset": "cross-dataset"}


def efficiency(runs: Sequence[Run], seeds: Sequence[int] | None = None) -> Table:
    """By protocol, shots, device, dataset and method: runs that trained."""
    trained = sorted((run for run in runs if run.trained and run.complete and not in_no_table(run)), key=_order)
    rows = []
    for _, group in groupby(trained, key=_order):
        runs_of_row = list(group)
        run = runs_of_row[0]
        first = (PROTOCOLS[run.protocol], str(run.shots), _device(run), run.dataset)
        rows.append((first, run.line, [_cell(runs_of_row, seeds, *column) for column in COLUMNS.values()]))
    table = Table(
        "efficiency",
        "Efficiency",
        "Of runs that train, mean over seeds. seconds: the whole run with start and test; training seconds: steps and "
        "waiting for images; peak memory: torch's on a graphics card, else the process's.",
        ("Protocol", "Shots", "Device", "Dataset", "Method"),
        tuple(COLUMNS),
        tuple(digits for _, digits, _ in COLUMNS.values()),
        higher_is_better=False,
    )
    if told := time_taken(runs):
        table = replace(table, caption=f"{table.caption} {told}")
    if any(cell.beside is not None for *_, cells in rows for cell in cells):
        table = replace(table, caption=f"{table.caption} {OTHER_MACHINES}")
    return with_rows(table, rows)


def time_taken(runs: Sequence[Run]) -> str:
    """What all complete runs took one after the other, by protocol; of seeds in one pass each counts with the whole."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        if (took := _seconds(run)) is not None:
            topics = dict.fromkeys(topic_of(key) for key, _ in run.line.swept)
            name = f"{', '.join(topics)} swept" if topics else run.protocol.replace("_", " ") or "no protocol"
            seconds[name].append(took)
    told = [f"{name} {len(each)} runs in {_hours(sum(each))}" for name, each in seconds.items()]
    return f"Complete runs took, seconds added up: {'; '.join(told)}." if told else ""


def _hours(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min" if minutes > 9 else f"{seconds:.0f} s"


def _order(run: Run) -> tuple:
    protocol = list(PROTOCOLS).index(run.protocol)
    return (protocol, run.shots, _device(run), dataset_order(run.dataset), run.dataset, method_order(run.line))


def _device(run: Run) -> str:
    return (run.record.get("efficiency") or {}).get("device") or ""


def _cell(runs: list[Run], seeds: Sequence[int] | None, metric: str, digits: int, read: Read) -> Cell:
    """A measured number beside the published one."""
    run, found = runs[0], score(runs, seeds or seeds_of(runs[0].protocol), read)
    if found.mean is None:  # the record is of before this was measured
        return Cell(replace(found, incomplete=""))
    if metric != "trainable_params":
        notes = dict.fromkeys(note for run in runs for note in _timing_notes(run))
        found = replace(found, notes=(*found.notes, *notes))
    elif not found.deviation:  # a count that is the same for every seed
        found = replace(found, deviation=None)
    comparable = run.line.backbone == reference_results.BACKBONE and not run.line.swept
    figure = None
    if comparable and run.protocol == "base2new" and run.shots == 16:
        figure = reference_results.efficiency(run.line.method, run.dataset, metric)
    return Cell(found, figure.value, figure.source) if figure else Cell(found)


def _timing_notes(run: Run) -> list[str]:
    """Why a run's seconds are not those of an undisturbed run of its own."""
    measured, notes = run.record.get("efficiency") or {}, []
    if (together := measured.get("runs_in_process") or 1) > 1:
        notes.append(f"{together} seeds were run in one pass: the time and memory are the pass's, not one run's.")
    epochs = ((run.record.get("config") or {}).get("OPTIM") or {}).get("MAX_EPOCH")
    if 0 < (measured.get("train_epochs") or 0) < (epochs or 0):
        notes.append("A run went on after an interruption: its seconds are the last attempt's.")
    return notes
