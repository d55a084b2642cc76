"""Hand each run of a sweep to an executor once the run it tests is complete; a failed run does not stop the others."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Protocol

from runs.protocol import PlanError, PlannedRun
from runs.record import COMPLETE, FAILED, INTERRUPTED, RUNNING, read_record
from runs.sweep.process import COMPLETED, IN_USE, last_line
from safeio.lock import in_use

MISSING = "missing"
"""The state beside those of a record: there is none."""
CONTINUES = "the same command continues it"
TICK = 0.5
"""Seconds after which the display is refreshed and signals are looked at."""


class Executor(Protocol):
    """Executor that runs train.py: here (`runs.sweep.local`) or on a cluster (`runs.sweep.ray_cluster`).

    Attributes:
        width: runs at a time.
        room: how many it takes ahead; None: all.
    """

    width: int
    room: int | None

    def submit(self, command: Sequence[str], folder: Path) -> Future[int | None]:
        """Run it some time; the result is its exit status."""

    def stop(self) -> None:
        """Start nothing more; runs save and end. A second time: they end at once."""

    def close(self) -> None:
        """Let go of what it holds; nothing runs any more."""


class Display(Protocol):
    """Display of a sweep's progress."""

    def started(self, run: PlannedRun) -> None: ...

    def ended(self, run: PlannedRun, state: State) -> None: ...

    def tick(self) -> None: ...


@dataclass(frozen=True)
class State:
    """State of a run: its record's status or `missing`, and the reason if it is not complete."""

    status: str
    why: str = ""


def state_of(folder: Path) -> State:
    """Return the state by a run's record; for a failed run also the last line of its output.

    A run that was killed could not put that on record: where nobody works in its folder, it is `interrupted`.
    """
    record = read_record(folder) or {}
    status = record.get("status", MISSING)
    if status == RUNNING and not in_use(folder):
        return State(INTERRUPTED, f"killed; {CONTINUES}")
    return State(status, last_line(folder) or record.get("failure", "") if status == FAILED else "")


class Stop:
    """Counts requests to stop: Ctrl-C, SIGTERM."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.requests = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count signals in this block, instead of what they did."""
        before = {signum: signal.signal(signum, self._note) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _note(self, signum: int, frame: object) -> None:
        self.signum, self.requests = signum, self.requests + 1


class Drive:
    """One pass over the runs of a sweep.

    Args:
        runs: with those that they test; ones that are complete are left alone.
        output: where the runs' folders are.
        command: a run -> what comes after `python` to run it.
        retry_failed: run again what failed earlier, which is else passed over.
        check: sees a run that another sweep has completed since the start; raises PlanError if it is not the one that
            is asked for, by its settings and data.

    Attributes:
        states: folder -> state.
        stop: whether a signal came.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        output: Path,
        command: Callable[[PlannedRun], Sequence[str]],
        executor: Executor,
        display: Display,
        retry_failed: bool = False,
        check: Callable[[PlannedRun], object] = lambda run: None,
    ):
        self.output, self.command, self.executor, self.display = output, command, executor, display
        self.check = check
        self.runs = {run.folder: run for run in runs}
        self.states = {folder: state_of(output / folder) for folder in self.runs}
        self.retry_failed, self.stop = retry_failed, Stop()
        self._sorter = TopologicalSorter(
            {run.folder: [run.model_folder] if run.model_folder in self.runs else [] for run in runs}
        )
        self._ready: list[PlannedRun] = []
        self._waiting: dict[Future, PlannedRun] = {}

    def run(self) -> dict[str, State]:
        """Run them; returns the states."""
        self._sorter.prepare()
        obeyed = 0
        with self.stop.listening():
            while True:
                if self.stop.requests > obeyed:
                    obeyed = self.stop.requests
                    self.executor.stop()
                if not obeyed:
                    self._collect_ready()
                    self._submit()
                if not self._waiting:
                    break
                for future in wait(self._waiting, TICK, FIRST_COMPLETED).done:
                    self._end(future)
                self.display.tick()
        self._say_what_is_blocked()
        return self.states

    def _collect_ready(self) -> None:
        """Collect the runs whose checkpoint is there; of them, tests come before trainings."""
        while folders := self._sorter.get_ready():
            for folder in folders:
                if self.states[folder].status == COMPLETE:
                    self._sorter.done(folder)
                elif self.states[folder].status != FAILED or self.retry_failed:
                    self._ready.append(self.runs[folder])
        self._ready.sort(key=lambda run: run.model_folder is None)

    def _submit(self) -> None:
        room = self.executor.room
        while self._ready and (room is None or len(self._waiting) < room):
            run = self._ready.pop(0)
            self._waiting[self.executor.submit(self.command(run), self.output / run.folder)] = run
            self.display.started(run)

    def _end(self, future: Future) -> None:
        run = self._waiting.pop(future)
        state = outcome(future, self.output / run.folder)
        if state.status == COMPLETE and future.result() == COMPLETED:
            try:
                self.check(run)
            except PlanError as error:
                state = State(FAILED, str(error))
        self.states[run.folder] = state
        if state.status == COMPLETE:
            self._sorter.done(run.folder)
        self.display.ended(run, state)

    def _say_what_is_blocked(self) -> None:
        for folder, run in self.runs.items():
            tested = self.states.get(run.model_folder or "")
            if self.states[folder].status == MISSING and tested and tested.status != COMPLETE:
                self.states[folder] = State(
                    MISSING, f"not started: the training it tests, {run.model_folder}, is {tested.status}"
                )


def outcome(future: Future[int | None], folder: Path) -> State:
    """Return the state of a run that has ended, whatever its record still says."""
    if (error := future.exception()) is not None:
        return State(FAILED, f"{type(error).__name__}: {error}".strip().splitlines()[0])
    status, found = future.result(), state_of(folder)
    if status == IN_USE:
        return State(RUNNING, last_line(folder))
    if status is not None and status < 0:
        return State(INTERRUPTED, f"killed by {signal.Signals(-status).name}; {CONTINUES}")
    if status in (None, COMPLETED) or (status == 0 and found.status == COMPLETE):
        return found
    recorded = (read_record(folder) or {}).get("status", MISSING)
    if recorded == INTERRUPTED or status in (130, 143):
        return State(INTERRUPTED, f"stopped; {CONTINUES}")
    return State(FAILED, last_line(folder) or f"ended with status {status}, record {recorded}")
