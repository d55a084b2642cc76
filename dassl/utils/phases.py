"""Seconds of a run by phase, of the clock and of the processor, each counted in the innermost phase."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

PHASES = (
    "start",  # of the process, with imports, until its command line is read
    "weights",
    "listing",  # of the datasets' images
    "images",  # read, decoded and transformed here, or waited for
    "class texts",  # the method's start values, and the features of its classes
    "graph recording",  # of CUDA graphs of the step and of prediction
    "steps",
    "evaluation",
    "writing",
    "other",
)


class PhaseClock:
    """Counts seconds by phase; outside of every block they are `other`.

    It follows one run. Several that take turns in a process (`--seeds`) cannot be kept apart: see `stop`.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] | None = {}
        self._phase, self._since = "other", (time.perf_counter(), time.process_time())

    def begin(self) -> None:
        """Count what has passed since the process started as `start`, and begin with the rest."""
        self.seconds = {"start": [seconds_since_start(), time.process_time()]}
        self._phase, self._since = "other", (time.perf_counter(), time.process_time())

    def stop(self) -> None:
        """Count nothing any more."""
        self.seconds = None

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count what the block takes, less the blocks within it."""
        outer = self._phase
        self._enter(phase)
        try:
            yield
        finally:
            self._enter(outer)

    def as_dict(self) -> dict[str, list[float]]:
        """Return [seconds by the clock, processor seconds] by phase so far; empty where nothing is counted."""
        self._enter(self._phase)
        found = self.seconds or {}
        return {phase: [round(value, 3) for value in found[phase]] for phase in PHASES if phase in found}

    def _enter(self, phase: str) -> None:
        now = time.perf_counter(), time.process_time()
        if self.seconds is not None:
            clock, processor = self.seconds.get(self._phase, (0.0, 0.0))
            self.seconds[self._phase] = [clock + now[0] - self._since[0], processor + now[1] - self._since[1]]
        self._phase, self._since = phase, now


def seconds_since_start() -> float:
    """Return how long ago this process started, by the clock; where only Linux could say, its processor seconds."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])  # field 22 of proc(5), starttime
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return time.process_time()


phase = PhaseClock()
"""The clock of this process's run."""
