"""The loader of a run: PyTorch's, with an error that explains if one of its processes is lost."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader

from dassl.data.worker import set_up_worker
from safeio.errors import UserError

DIED = re.compile(r"DataLoader worker \(pid|Pin memory thread exited")
"""PyTorch's words for a lost process; with a GPU, for the thread that pins memory and lost its connection to it."""
SHARED_MEMORY, OPEN_FILES = "unable to allocate shared memory", "Too many open files"
"""Also PyTorch's words, the first from within a process that loads images."""
GRACE = 2.0
"""Seconds in which a killed process ends, after its connection has broken."""


class WorkerLost(UserError, RuntimeError):
    """A process that loads images is gone, or cannot hand over what it loaded."""


class Loader(DataLoader):
    """A `DataLoader` whose processes belong to the run (`set_up_worker`); takes the same arguments.

    Its batches end with WorkerLost if one of its processes was killed. Errors that such a process itself met come as
    they are.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options, worker_init_fn=set_up_worker)

    def __iter__(self) -> Iterator[Any]:
        """Start the processes, which draws from torch's random generator, and return an iterator of the batches."""
        if not self.num_workers:
            return super().__iter__()
        before = signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None
        batches = super().__iter__()
        if before is not None and signal.getsignal(signal.SIGCHLD) is not before:
            signal.signal(signal.SIGCHLD, before)  # PyTorch's raises at any place: in a step, or while a file is saved
        return _naming_lost_workers(batches, batches._workers)


def _naming_lost_workers(batches: Iterator[Any], processes: Sequence[Any]) -> Iterator[Any]:
    """Give the batches of these processes; raise WorkerLost if one of them was killed."""
    try:
        yield from batches
    except Exception as error:
        if SHARED_MEMORY in str(error):
            raise WorkerLost(
                "The data loader's processes have no room to hand over their batches: /dev/shm is full or too small. "
                "Enlarge it (containers: --shm-size=8g); the same command then continues the run. Or train anew in "
                "another OUTPUT_DIR, with smaller batches or without loader processes (DATALOADER.NUM_WORKERS 0)."
            ) from error
        if str(error).startswith(OPEN_FILES):
            raise WorkerLost(
                "The data loader's processes cannot hand over their batches: too many files are open. Raise the limit "
                "(ulimit -n 65536): the same command then continues the run."
            ) from error
        met_in_worker = str(error).startswith("Caught ")  # how PyTorch hands them on
        if met_in_worker or not (DIED.match(str(error)) or _one_ended(processes)):
            raise
        raise WorkerLost(
            f"A data loader process was killed ({type(error).__name__}: {str(error).strip()}), often for want of "
            f"memory. The same command continues the run. If it happens again: free memory, or train anew in another "
            f"OUTPUT_DIR with fewer processes (DATALOADER.NUM_WORKERS) or smaller batches, as both decide the result."
        ) from error


def _one_ended(processes: Sequence[Any]) -> bool:
    """Return whether one of these processes has ended, or does so within the grace."""
    deadline = time.monotonic() + GRACE
    while all(process.is_alive() for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
