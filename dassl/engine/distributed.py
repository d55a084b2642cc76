"""One run over several processes, each with one GPU, started by torchrun.

All processes do the same: they draw the same random numbers, load the same batches and keep the same parameters.
They divide the expensive part, the encoders' work: a process computes its own part of each training batch (`own_part`)
and every n-th batch of a test set (`outcomes_of_all`). The first process alone reads and writes the run's folder.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from signal import Signals
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dassl.data.loader import Loader
from dassl.engine.stop import Stopped, StopRequest
from dassl.utils.environment import random_state, restore_random_state
from safeio.errors import UserError

LOST = re.compile(r"[Cc]onnection (?:closed|reset)|[Bb]roken pipe|gloo|NCCL|recvValueWithTimeout")
"""Words in PyTorch's errors after another process has ended."""


class DistributedError(UserError, RuntimeError):
    """The processes cannot share this run; the message says why and what to do."""


@contextmanager
def naming_lost_processes() -> Iterator[None]:
    """Turn PyTorch's network errors in this block into one that says another process of the run has ended.

    Raises:
        DistributedError: it did.
    """
    try:
        yield
    except RuntimeError as error:
        if processes() == 1 or isinstance(error, UserError) or not LOST.search(str(error)):
            raise
        reason = str(error).strip().splitlines()[0]
        raise DistributedError(
            f"Another process of this run has ended, killed for example ({reason}). The same command continues the run."
        ) from error


def started() -> int:
    """Return the number of processes that torchrun has started for this run; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", 1))


def processes() -> int:
    """Return the number of processes that share this run now; 1 outside of `process_group`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number; 0 is the one that writes."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def process_group() -> Iterator[int]:
    """Join the other processes, take a GPU, and copy the first process's random generators.

    Yields:
        This process's number.

    Raises:
        DistributedError: more processes on this machine than GPUs.
    """
    backend = "gloo"
    if torch.cuda.is_available():
        place, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if place >= gpus:
            raise DistributedError(
                f"torchrun has started more processes than this machine has GPUs ({gpus}): give "
                f"--nproc-per-node {gpus}, or hide the GPUs (CUDA_VISIBLE_DEVICES=) to run on the CPU"
            )
        torch.cuda.set_device(place)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend)
    broadcast_random_state()
    yield rank()
    dist.destroy_process_group()  # not after an error: others may wait for this one, which torchrun ends


# What all get from the first


def from_first(content: Any) -> Any:
    """Return the first process's content in every process: tensors (on the CPU), numbers, texts and containers."""
    if processes() == 1:
        return content
    file = io.BytesIO()
    if rank() == 0:
        torch.save(content, file)
    size = torch.tensor(file.tell())
    dist.broadcast(size, 0)
    data = torch.zeros(int(size), dtype=torch.uint8)
    if rank() == 0:
        data = torch.frombuffer(file.getbuffer(), dtype=torch.uint8)
    dist.broadcast(data, 0)
    return content if rank() == 0 else torch.load(io.BytesIO(data.numpy()), "cpu", weights_only=True)


def broadcast_random_state() -> None:
    """Copy the first process's random generators to every process."""
    state = from_first(random_state())
    restore_random_state(state)


def broadcast_models(models: Iterable[nn.Module]) -> None:
    """Copy the first process's parameters and buffers to every process."""
    if processes() > 1:
        for model in models:
            for tensor in (*model.parameters(), *model.buffers()):
                dist.broadcast(tensor.data, 0)


def agree_all(mine: bool) -> bool:
    """Return whether all processes say yes."""
    answer = torch.tensor(int(mine))
    dist.all_reduce(answer, dist.ReduceOp.MIN)
    return bool(answer)


# Training


def own_part(count: int) -> slice:
    """This process's part of a batch of `count`: parts differ by one image at most.

    Raises:
        DistributedError: fewer images than processes.
    """
    if count < processes():
        raise DistributedError(
            f"A batch of {count} images cannot be divided among {processes()} processes: start as many as a batch has "
            "images, or fewer (torchrun --nproc-per-node), or raise DATALOADER.TRAIN_X.BATCH_SIZE"
        )
    return slice(count * rank() // processes(), count * (rank() + 1) // processes())


def sum_over_processes(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their sums over all processes, in one message."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(total.view_as(tensor))


def whole_batch(rows: Tensor, count: int) -> Tensor:
    """Gather the rows of all processes, without gradients: (b, ...) of this process -> (count, ...)."""
    whole = rows.new_zeros(count, *rows.shape[1:])
    whole[own_part(count)] = rows.detach()
    dist.all_reduce(whole)
    return whole


class DistributedStop(StopRequest):
    """A signal to any process stops all of them after the same step: they ask one another before each."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: int | None = None  # by this process; `signum` is what all have agreed on

    def until_stopped(self, batches: Iterable[Any]) -> Iterator[Any]:
        iterator = iter(batches)
        while True:
            try:
                batch = next(iterator, None)
            except RuntimeError:
                if not self.noted:
                    raise
                batch = None
            self.signum = self._agreed()
            if batch is None or self.signum:
                return
            yield batch

    def _agreed(self) -> int | None:
        heard = torch.tensor(self.noted or 0)
        dist.all_reduce(heard, dist.ReduceOp.MAX)
        return int(heard) or None

    def _note(self, signum: int, frame: Any) -> None:
        again, self.noted = self.noted is not None, signum
        if again or not self._holding:
            raise Stopped(signum)
        if rank() == 0:
            print(f"\n{Signals(signum).name}: stopping after this step; a second signal stops at once.", flush=True)


# Evaluation


def outcomes_of_all(
    loader: DataLoader, compute: Callable[[Any], tuple[Tensor, Tensor]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `compute(batch)` of every batch, in order; one process loads and computes a batch, and all get its outcome.

    The batches, and so the outcomes, are those of a run in one process.
    """
    if processes() == 1:
        yield from map(compute, loader)
        return
    batches = list(loader.batch_sampler)
    own = Loader(
        loader.dataset,
        batch_sampler=batches[rank() :: processes()],
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
    )
    outcomes = map(compute, own)
    for _ in range(0, len(batches), processes()):
        mine = [tuple(part.cpu() for part in outcome) for outcome in islice(outcomes, 1)]
        gathered: list[Any] = [None] * processes()
        dist.all_gather_object(gathered, mine)
        for found in gathered:
            yield from found
