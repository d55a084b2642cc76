"""Result over seeds: mean, deviation, number of seeds, and remarks on missing or doubtful runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reports.records import RecordedRun
from runs.sources import note
from runs.table import harmonic_mean

PER_RUN = ("SEED", "OUTPUT_DIR", "RESUME", "VERBOSE", "USE_CUDA", "DATASET.ROOT", "DATALOADER.NUM_WORKERS")
PER_RUN_NODES = ("DATALOADER.CACHE", "TRAIN.PRINT", "TRAIN.CHECKPOINT")
"""Settings, or beginnings of their keys, that do not change what a run computes."""


@dataclass(frozen=True)
class Score:
    """A number of a table.

    Attributes:
        mean: over `by_seed`; None if there is nothing.
        deviation: over the seeds, population standard deviation as CoOp's scripts print it; None below two seeds.
        incomplete: what is missing, in words for readers; "" if the number is complete.
        notes: footnotes.
    """

    by_seed: Mapping[int, float] = field(default_factory=dict)
    mean: float | None = None
    deviation: float | None = None
    incomplete: str = ""
    notes: tuple[str, ...] = ()

    @property
    def seeds(self) -> int:
        return len(self.by_seed)


def score(
    runs: Sequence[RecordedRun], expected: Sequence[int], read: Callable[[RecordedRun], Any] = lambda run: run.accuracy
) -> Score:
    """Mean over the seeds of runs that are alike but for the seed. Of several with one seed the newest counts.

    Args:
        read: the number of a run; None where it has none.
    """
    newest = _newest_by_seed(runs)
    by_seed = {seed: float(value) for seed, run in sorted(newest.items()) if (value := read(run)) is not None}
    if not by_seed:
        waiting = {str(run.record.get("status")) for run in runs if not run.complete}
        return Score(incomplete=", ".join(sorted(waiting)) or ("" if runs else "not run"))
    missing = [seed for seed in expected if seed not in by_seed]
    notes = []
    if len(newest) < len([run for run in runs if run.complete]):
        notes.append("Several runs with one seed are alike in all that the table tells apart: the newest counts.")
    if odd := _differing({seed: newest[seed] for seed in by_seed}):
        notes.append(f"The seeds' settings differ: {', '.join(odd)}.")
    if unread := note(newest[seed].record for seed in by_seed):
        notes.append(unread)
    values = list(by_seed.values())
    return Score(
        by_seed=by_seed,
        mean=statistics.fmean(values),
        deviation=statistics.pstdev(values) if len(values) > 1 else None,
        incomplete=f"{len(expected) - len(missing)} of {len(expected)} seeds" if missing else "",
        notes=tuple(notes),
    )


def harmonic(base: Score, new: Score) -> Score:
    """H of the means. It has no deviation: it is no mean over seeds. Incomplete where either is."""
    notes = tuple(dict.fromkeys(base.notes + new.notes))
    if base.mean is None or new.mean is None:
        return Score(incomplete="needs both halves", notes=notes)
    common = {seed: 0.0 for seed in base.by_seed if seed in new.by_seed}
    incomplete = base.incomplete or new.incomplete
    return Score(common, harmonic_mean(base.mean, new.mean), None, incomplete, notes)


def mean_of_harmonics(pairs: Sequence[tuple[Score, Score]]) -> Score:
    """Return the mean over datasets of their H (base, new); no number if one is missing."""
    each = [harmonic(base, new) for base, new in pairs]
    there = [one.mean for one in each if one.mean is not None]
    if len(there) < len(each):
        return Score(incomplete=f"{len(there)} of {len(each)} datasets")
    common = dict.fromkeys(sorted(set.intersection(*(set(one.by_seed) for one in each))), 0.0)
    incomplete = next((one.incomplete for one in each if one.incomplete), "")
    return Score(common, statistics.fmean(there), None, incomplete)


def average(scores: Sequence[Score]) -> Score:
    """Mean over datasets of their means; no number if one is missing. Deviation over seeds of the seeds' averages."""
    there = [one.mean for one in scores if one.mean is not None]
    if len(there) < len(scores):
        return Score(incomplete=f"{len(there)} of {len(scores)} datasets")
    seeds = set.intersection(*(set(one.by_seed) for one in scores))
    same = all(set(one.by_seed) == seeds for one in scores)
    by_seed = {seed: statistics.fmean(one.by_seed[seed] for one in scores) for seed in sorted(seeds)}
    return Score(
        by_seed=by_seed,
        mean=statistics.fmean(there),
        deviation=statistics.pstdev(by_seed.values()) if same and len(seeds) > 1 else None,
        incomplete=next((one.incomplete for one in scores if one.incomplete), ""),
        notes=tuple(dict.fromkeys(note for one in scores for note in one.notes)),
    )


def _newest_by_seed(runs: Sequence[RecordedRun]) -> dict[int, RecordedRun]:
    """Complete runs; one that was started over and is not complete does not hide one that is."""
    complete = [run for run in runs if run.complete]
    in_time = sorted(complete, key=lambda run: run.number("timing", "ended") or 0)
    return {run.seed: run for run in in_time}


def _differing(newest: Mapping[int, RecordedRun]) -> list[str]:
    """Settings in which the seeds are not alike."""
    flat = [flatten(run.record.get("config") or {}) for run in newest.values()]
    keys = sorted({key for one in flat for key in one})
    return [key for key in keys if not _says_nothing(key) and len({repr(one.get(key)) for one in flat}) > 1]


def _says_nothing(key: str) -> bool:
    return key in PER_RUN or key.startswith(PER_RUN_NODES)


def flatten(node: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """{"A": {"B": 1}} as {"A.B": 1}."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flatten(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return flat
