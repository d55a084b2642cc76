"""Progress of a sweep and an estimate of the time left: a live line on a terminal, elsewhere one after each run."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

from tqdm import tqdm

from runs.protocol import PlannedRun
from runs.record import COMPLETE, FAILED, read_record
from runs.sweep.scheduler import State


class Estimate:
    """Estimate of the seconds left, from runs of the same method, stage and dataset, else method and stage, else any.

    Args:
        output: where records of complete runs are, which count too.

    Attributes:
        start: seconds from handing out a run to the beginning of its record, at best: later ones may have queued.
    """

    def __init__(self, output: Path):
        self.output, self.start = output, 0.0
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)

    def learn(self, run: PlannedRun, waited: float | None = None) -> float | None:
        """Take over what a complete run took, by its record, which is returned; nothing from a copied run.

        Args:
            waited: seconds from handing it out to its end, if it was run now.
        """
        record = read_record(self.output / run.folder) or {}
        seconds = record.get("timing", {}).get("seconds")
        if "copied_from" in record:
            return waited
        if seconds is not None:
            for kind in self._kinds(run):
                self._seconds[kind].append(seconds)
            if waited is not None:
                self.start = min(self.start or waited - seconds, waited - seconds)
        return seconds

    def of(self, run: PlannedRun) -> float | None:
        """Expected seconds of one run, None while nothing has ended."""
        return next((fmean(self._seconds[kind]) for kind in self._kinds(run) if kind in self._seconds), None)

    def left(
        self, runs: Sequence[PlannedRun], width: int, spent: Mapping[str, float] = MappingProxyType({})
    ) -> float | None:
        """Seconds for these runs, `width` at a time; None where nothing is known.

        Args:
            spent: seconds that those under way have had, by folder. One that takes longer than expected shortens no
                other; where all do, nothing is known.
        """
        expected = [seconds + self.start for seconds in map(self.of, runs) if seconds is not None]
        if len(expected) < len(runs):
            return None
        rest = sum(max(0.0, seconds - spent.get(run.folder, 0.0)) for run, seconds in zip(runs, expected, strict=True))
        return None if runs and not rest else rest / max(1, min(width, len(runs)))

    @staticmethod
    def _kinds(run: PlannedRun) -> list[tuple[str, ...]]:
        stage = "test" if run.model_folder else "train"
        return [(run.trainer, stage, run.dataset), (run.trainer, stage), ()]


class Progress:
    """Shows a sweep's runs as they start and end.

    Args:
        runs: all of the sweep; states: where each stands.
        width: runs at a time.
        retry_failed: whether what failed earlier is run.

    Attributes:
        left: what is to be run, without what depends on a run that is not complete and will not be.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        states: Mapping[str, State],
        output: Path,
        width: int,
        retry_failed: bool = False,
    ):
        self.estimate, self.width = Estimate(output), width
        complete = [run for run in runs if states[run.folder].status == COMPLETE]
        self.left = {run.folder: run for run in runs if run not in complete}
        self.running: dict[str, float] = {}
        self.total, self.done, self.failed = len(runs), len(complete), 0
        for run in complete:
            self.estimate.learn(run)
        for run in runs:
            if states[run.folder].status == FAILED and not retry_failed:
                self._give_up(run)
        self.bar = tqdm(
            total=self.total,
            initial=self.done,
            bar_format="{desc}{n_fmt}/{total_fmt} |{bar:24}| {elapsed}{postfix}",
            disable=None,  # only on a terminal
            dynamic_ncols=True,
            leave=False,
        )

    def started(self, run: PlannedRun) -> None:
        self.running[run.folder] = time.monotonic()
        self.tick()

    def ended(self, run: PlannedRun, state: State) -> None:
        seconds = time.monotonic() - self.running.pop(run.folder)
        said = state.why
        if state.status == COMPLETE:
            del self.left[run.folder]
            self.done += 1
            seconds = self.estimate.learn(run, seconds) or seconds  # without waiting for a place
            record = read_record(self.estimate.output / run.folder) or {}
            said = f"{record['metrics']['accuracy']:.1f} %" if "accuracy" in record.get("metrics", {}) else ""
            if source := record.get("copied_from"):
                said += f"  copied from {os.path.relpath(source, self.estimate.output)}"
        else:
            self._give_up(run)
        self.bar.n = self.done  # shown by tick, together with the new estimate
        where = f"  [{self.done}/{self.total}, {self._ahead()}]" if self.bar.disable else ""
        self.bar.write(f"{state.status:<11} {seconds:7.1f} s  {run.folder}  {said}".rstrip() + where)
        self.tick()

    def tick(self) -> None:
        """Bring the live line up to date."""
        trouble = f", {self.failed} not complete" if self.failed else ""
        running = min(len(self.running), self.width)  # a cluster holds a queue of its own
        self.bar.set_postfix_str(f"{self._ahead()}, {running} running{trouble}")

    def close(self) -> None:
        """Remove the live line."""
        self.bar.close()

    def _give_up(self, run: PlannedRun) -> None:
        self.failed += 1
        self.left = {k: other for k, other in self.left.items() if run.folder not in (k, other.model_folder)}

    def _ahead(self) -> str:
        now, under_way = time.monotonic(), list(self.running.items())[: self.width]
        spent = {folder: now - began for folder, began in under_way}
        seconds = self.estimate.left(list(self.left.values()), self.width, spent)
        return f"about {'?' if seconds is None else tqdm.format_interval(seconds)} left"
