"""Processes of a data loader: they belong to a run, which decides what a signal or an error means."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import sys
from types import TracebackType


def set_up_worker(worker: int) -> None:
    """Set up a process of a data loader; for `worker_init_fn`.

    It ignores Ctrl-C and SIGTERM, which often reach a whole group of processes: the run needs its workers to finish the
    step. It prints nothing about a connection to the run that breaks.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    sys.excepthook = _print_error


def _print_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error of a thread of a worker, unless it lost the run, which was killed or says itself what is wrong."""
    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)


@atexit.register
def end_workers() -> None:
    """End the worker processes that an error left running. They ignore the SIGTERM that Python sends at its end."""
    left = [process for process in multiprocessing.active_children() if process.daemon]
    if left and hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler raises an error for each that ends so
    for process in left:
        process.kill()
        process.join()
