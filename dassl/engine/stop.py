"""Ctrl-C and SIGTERM: finish the step, save, and leave with the exit status that shells expect."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """The run was asked to stop; the status is 128 + the signal's number (130, 143)."""

    def __init__(self, signum: int):
        super().__init__(128 + signum)
        self.signum = signum

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.signum).name}; run the same command again to continue"


class StopRequest:
    """Whether a signal came. Outside of `held` it stops the run where it is; a second one always does.

    Attributes:
        signum: the signal, None as long as there was none.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._holding = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals in this block; elsewhere than in the main thread it changes nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {signum: signal.signal(signum, self._note) for signum in SIGNALS}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """In this block a signal is noted only: the block looks at `signum` where it can stop."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False

    def _note(self, signum: int, frame: FrameType | None) -> None:
        again, self.signum = self.signum is not None, signum
        if again or not self._holding:
            raise Stopped(signum)
        print("\nStopping after this step; once more stops at once.", file=sys.stderr, flush=True)
