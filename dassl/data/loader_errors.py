"""Messages for a data loader one of whose processes was killed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from safeio.errors import UserError

DIED = re.compile(r"DataLoader worker \(pid|Pin memory thread exited")
"""PyTorch's words, if it comes to them: often the broken connection is noticed first, with a GPU by
the thread that pins memory for it."""

SHARED_MEMORY = "unable to allocate shared memory"
"""Also PyTorch's words, from within a process that loads images."""


class WorkerLost(UserError, RuntimeError):
    """A process that loads images is gone."""


def naming_lost_workers(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches; a killed worker process becomes an error that explains.

    Raises:
        WorkerLost: a process of the loader was killed. Errors that such a process itself met come as they are.
    """
    try:
        yield from batches
    except (RuntimeError, ConnectionError, EOFError) as error:
        if SHARED_MEMORY in str(error):
            raise WorkerLost(
                "The data loader's processes have no room to hand over their batches: /dev/shm is full or too small. "
                "Enlarge it (containers: --shm-size=8g); the same command then continues the run. Or train anew in "
                "another OUTPUT_DIR, with smaller batches or without loader processes (DATALOADER.NUM_WORKERS 0)."
            ) from error
        met_in_worker = str(error).startswith("Caught ")  # how PyTorch hands them on
        if met_in_worker or (isinstance(error, RuntimeError) and not is_of_lost_worker(error)):
            raise
        raise worker_lost(error) from error


def is_of_lost_worker(error: RuntimeError) -> bool:
    """Return whether PyTorch reports a lost process with this error; a signal raises it at any place."""
    return DIED.match(str(error)) is not None


def worker_lost(error: Exception) -> WorkerLost:
    """Return the error with the cause and advice."""
    return WorkerLost(
        f"A data loader process was killed ({type(error).__name__}: {str(error).strip()}), often for want of memory. "
        f"The same command continues the run. If it happens again: free memory, or train anew in another OUTPUT_DIR "
        f"with fewer processes (DATALOADER.NUM_WORKERS) or smaller batches, since both decide the result."
    )
