"""Progress bars with the time left: a live line on a terminal, else a line every 30 seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sized
from typing import TextIO

from tqdm import tqdm

EVERY = 30.0
"""Seconds between lines where the output is no terminal."""
LIVE = "{desc}: {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"
LINE = "{desc}: {n_fmt} of {total_fmt}, {remaining} left"
LINE_WITHOUT_END = "{desc}: {n_fmt} so far, {elapsed}"


class Bar(tqdm):
    """A tqdm without its watching thread, which a process that forks must not have."""

    monitor_interval = 0


class Lines:
    """A terminal without control characters: each state of a bar becomes a line."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        self.stream.flush()


def is_terminal(stream: TextIO | None) -> bool:
    """Return True where a live line can be shown; elsewhere, as in a job's file, it would leave a mess.

    A terminal that says it has no columns, as one that nobody gave a size, would show nothing of it.
    """
    if stream is None or not stream.isatty():
        return False
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError):  # no file of the system's: whoever made it says that it is a terminal
        return True


def progress(
    iterable: Iterable | None,
    description: str,
    total: int | None = None,
    initial: int = 0,
    unit: str = "it",
    live_only: bool = False,
) -> tqdm:
    """Wrap `iterable`, or make a bar to be updated, on stderr.

    Args:
        total: number of steps; the iterable's length where it has one; None: not known.
        initial: steps done before.
        unit: "B" counts bytes.
        live_only: nothing where there is no terminal.
    """
    total = len(iterable) if total is None and isinstance(iterable, Sized) else total
    scale = unit == "B"
    if is_terminal(sys.stderr):
        shape = None if total is None else LIVE
        return Bar(
            iterable, description, total, initial=initial, leave=False, dynamic_ncols=True, bar_format=shape, unit=unit,
            unit_scale=scale,
        )  # fmt: skip
    if sys.stderr is None or live_only:
        return Bar(iterable, disable=True)
    shape = LINE_WITHOUT_END if total is None else LINE
    return Bar(
        iterable, description, total, initial=initial, leave=False, file=Lines(sys.stderr), bar_format=shape, unit=unit,
        unit_scale=scale, delay=EVERY, mininterval=EVERY, miniters=1,
    )  # fmt: skip


def print_line(text: str) -> None:
    """Print to stdout without tearing a bar that is on the screen."""
    tqdm.write(text)


class NowAndThen:
    """Lets the first line pass and then one in `EVERY` seconds."""

    def __init__(self) -> None:
        self._last: float | None = None

    def due(self) -> bool:
        """Return True where a line is to be printed now."""
        now = time.monotonic()
        if self._last is not None and now - self._last < EVERY:
            return False
        self._last = now
        return True
