"""Ctrl-C and SIGTERM: finish the step, save, and leave with the exit status that shells expect."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """The run was asked to stop; the status is 128 + the signal's number (130, 143)."""

    def __init__(self, signum: int):
        super().__init__(128 + signum)
        self.signum = signum

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signum).name}; run the same command again to continue"


class StopRequest:
    """Request to stop, by Ctrl-C or SIGTERM. Outside of `held` it stops the run at once; a second signal always does.

    Several runs of one process may share it: blocks may lie within one another.

    Attributes:
        signum: the signal, None as long as there was none.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._holding = 0
        self._listening = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals in this block; elsewhere than in the main thread it changes nothing."""
        if self._listening or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._listening = True
        before = {signum: signal.signal(signum, self._note) for signum in SIGNALS}
        try:
            yield
        finally:
            self._listening = False
            for signum, handler in before.items():
                signal.signal(signum, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Only note a signal in this block; the block reads `signum` at points where it can stop."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1

    def until_stopped(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The batches; they end where Ctrl-C, which reaches the loader's worker processes too, has ended these."""
        try:
            yield from batches
        except RuntimeError:
            if not self.signum:
                raise

    def _note(self, signum: int, frame: FrameType | None) -> None:
        again, self.signum = self.signum is not None, signum
        if again or not self._holding:
            raise Stopped(signum)
        print("\nStopping after this step; a second signal stops at once.", file=sys.stderr, flush=True)
