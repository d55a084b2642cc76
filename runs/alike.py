"""Swept settings that changed no result, perhaps because another setting disables them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runs.protocol import PlannedRun
from runs.record import COMPLETE, read_record


def without_effect(runs: Sequence[PlannedRun], output: Path) -> Iterator[tuple[str, str]]:
    """Yield (key, method) if all runs that differ in the key alone have equal parameters and results.

    Args:
        output: where the runs' folders are; only complete runs count.
    """
    results = {run.folder: result for run in runs if run.swept and (result := _result(output / run.folder))}
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for key in dict.fromkeys(key for run in runs for key in run.swept):
        groups: dict[str, list[Any]] = defaultdict(list)
        for run in runs:
            if key in run.swept and run.folder in results:
                groups[_all_but(run, key)].append((run.trainer, results[run.folder]))
        for group in groups.values():
            if len(group) > 1:
                found[key, group[0][0]].append(all(other == group[0] for other in group))
    yield from (which for which, same in found.items() if all(same))


def _result(folder: Path) -> Any:
    """Return the checksum of what a run learned and its metrics; None if it is incomplete or its record too old."""
    record = read_record(folder) or {}
    if record.get("status") != COMPLETE or "parameters_sha256" not in record:
        return None
    return record["parameters_sha256"], record["metrics"]


def _all_but(run: PlannedRun, key: str) -> str:
    """Return the part of a run that must be equal in two runs that differ in one key only."""
    options = {name: value for name, value in run.options.items() if name != key}
    return str((run.trainer, run.dataset, run.seed, run.cfg, sorted((k, str(v)) for k, v in options.items())))
