"""How far a sweep is: one live line on a terminal, a line per run elsewhere, with an estimate of what is left."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from runs.drive import State
from runs.protocol import Run
from runs.record import COMPLETE, read_record


class Estimate:
    """Seconds left, from what runs of the same kind took: same method, stage, dataset; else method and stage; else any.

    Args:
        output: where records of complete runs are, which count too.
    """

    def __init__(self, output: Path):
        self.output = output
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)

    def learn(self, run: Run) -> None:
        """Take over what a complete run took, by its record."""
        seconds = (read_record(self.output / run.folder) or {}).get("timing", {}).get("seconds")
        if seconds is not None:
            for kind in self._kinds(run):
                self._seconds[kind].append(seconds)

    def of(self, run: Run) -> float | None:
        """Expected seconds of one run, None while nothing has ended."""
        return next((fmean(self._seconds[kind]) for kind in self._kinds(run) if kind in self._seconds), None)

    def left(self, runs: Sequence[Run], width: int) -> float | None:
        """Seconds for these runs, `width` at a time."""
        expected = [seconds for seconds in map(self.of, runs) if seconds is not None]
        return None if len(expected) < len(runs) else sum(expected) / max(1, min(width, len(runs)))

    @staticmethod
    def _kinds(run: Run) -> list[tuple[str, ...]]:
        stage = "test" if run.model_folder else "train"
        return [(run.trainer, stage, run.dataset), (run.trainer, stage), ()]


class Progress:
    """Shows a sweep's runs as they start and end.

    Args:
        runs: all of the sweep; states: where each stands.
        width: runs at a time.
    """

    def __init__(self, runs: Sequence[Run], states: Mapping[str, State], output: Path, width: int):
        self.estimate, self.width = Estimate(output), width
        self.left = {run.folder: run for run in runs if states[run.folder].status != COMPLETE}
        self.running: dict[str, float] = {}
        self.failed = 0
        for run in runs:
            if run.folder not in self.left:
                self.estimate.learn(run)
        self.bar = tqdm(
            total=len(runs),
            initial=len(runs) - len(self.left),
            bar_format="{desc}{n_fmt}/{total_fmt} |{bar:24}| {elapsed}{postfix}",
            disable=None,  # only on a terminal
            dynamic_ncols=True,
            leave=False,
        )

    def started(self, run: Run) -> None:
        self.running[run.folder] = time.monotonic()
        self.tick()

    def ended(self, run: Run, state: State) -> None:
        seconds = time.monotonic() - self.running.pop(run.folder)
        del self.left[run.folder]
        self.bar.update()
        said = state.why
        if state.status == COMPLETE:
            self.estimate.learn(run)
            record = read_record(self.estimate.output / run.folder) or {}
            seconds = record.get("timing", {}).get("seconds", seconds)  # without waiting for a place
            said = f"{record['metrics']['accuracy']:.1f} %" if "accuracy" in record.get("metrics", {}) else ""
        else:
            self.failed += 1
        self.bar.write(f"{state.status:<11} {seconds:7.1f} s  {run.folder}  {said}".rstrip())
        self.tick()

    def tick(self) -> None:
        """Bring the live line up to date."""
        seconds = self.estimate.left(list(self.left.values()), self.width)
        left = "?" if seconds is None else tqdm.format_interval(max(0, seconds - self._spent()))
        trouble = f", {self.failed} not complete" if self.failed else ""
        running = min(len(self.running), self.width)  # a cluster holds a queue of its own
        self.bar.set_postfix_str(f"about {left} left, {running} running{trouble}")

    def close(self) -> None:
        """Remove the live line."""
        self.bar.close()

    def _spent(self) -> float:
        """Seconds that the running ones have already had, as shared by the workers."""
        now = time.monotonic()
        return sum(now - began for began in list(self.running.values())[: self.width]) / self.width
