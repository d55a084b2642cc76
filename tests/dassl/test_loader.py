"""A process of a data loader that is lost is named, wherever the run is; the run itself is not interrupted."""

from __future__ import annotations

import multiprocessing
import signal
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import Dataset

from dassl.data.loader import GRACE, Loader, WorkerLost, _naming_lost_workers


class Numbers(Dataset):
    """Its items are their places; one may be an error."""

    def __init__(self, wrong: int | None = None):
        self.wrong = wrong

    def __len__(self) -> int:
        return 64

    def __getitem__(self, place: int) -> torch.Tensor:
        if place == self.wrong:
            raise ConnectionResetError("its own")
        return torch.tensor([place])


def kill_all() -> None:
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


@pytest.mark.parametrize("batches", [0, 1, 5])
def test_killed_processes_end_the_batches_with_advice(batches):
    found = iter(Loader(Numbers(), num_workers=2, prefetch_factor=1))
    for _ in range(batches):
        next(found)
    kill_all()
    with pytest.raises(WorkerLost, match=r"process was killed .* OUTPUT_DIR .* \(DATALOADER\.NUM_WORKERS\)"):
        list(found)


def test_what_a_living_process_met_comes_as_it_is():
    with pytest.raises(ConnectionResetError, match="Caught ConnectionResetError in DataLoader worker process"):
        list(Loader(Numbers(wrong=3), num_workers=2))


def breaking(error: Exception):
    yield 0
    raise error


@pytest.mark.parametrize(
    ("error", "alive", "said"),
    [
        (RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), True, "process was killed"),
        (RuntimeError("Pin memory thread exited unexpectedly"), True, "process was killed"),
        (RuntimeError("received 0 items of ancdata"), False, "process was killed"),
        (ConnectionRefusedError(111, "refused"), False, "process was killed"),
        (FileNotFoundError(2, "no socket"), False, "process was killed"),
        (RuntimeError("Too many open files. Communication is no longer possible."), True, "ulimit -n"),
        (
            RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nunable to allocate shared memory(shm)"),
            True,
            r"/dev/shm.*--shm-size.*NUM_WORKERS 0",
        ),
    ],
)
def test_each_way_in_which_a_lost_process_shows(error, alive, said):
    batches = _naming_lost_workers(breaking(error), [SimpleNamespace(is_alive=lambda: alive)])
    assert next(batches) == 0
    with pytest.raises(WorkerLost, match=said):
        next(batches)


def test_an_error_is_left_as_it_is_while_all_processes_live(monkeypatch):
    monkeypatch.setattr("dassl.data.loader.GRACE", GRACE / 100)
    batches = _naming_lost_workers(breaking(MemoryError("here")), [SimpleNamespace(is_alive=lambda: True)])
    with pytest.raises(MemoryError, match="here"):
        list(batches)


def test_a_process_that_dies_raises_nothing_elsewhere():
    """PyTorch's handler of SIGCHLD raises in whatever the run is doing, such as saving a file."""
    before = signal.getsignal(signal.SIGCHLD)
    found = iter(Loader(Numbers(), num_workers=1))
    assert signal.getsignal(signal.SIGCHLD) is before
    next(found)
    kill_all()
    sum(range(100_000))
    del found


def test_processes_start_where_the_random_generator_is():
    """A resumed epoch sets the generators before it asks for an iterator."""
    torch.manual_seed(3)
    wanted = torch.empty((), dtype=torch.int64).random_(generator=torch.default_generator)
    torch.manual_seed(3)
    iterator = iter(Loader(Numbers(), num_workers=1))
    after = torch.random.get_rng_state()
    torch.manual_seed(3)
    assert torch.empty((), dtype=torch.int64).random_() == wanted
    assert torch.equal(after, torch.random.get_rng_state())
    del iterator
