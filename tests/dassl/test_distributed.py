"""Several processes of one run agree on parts of a batch, stops, evaluation, and the first one's state."""

from __future__ import annotations

import os
import random
import signal
import socket
import traceback
from unittest import mock

import pytest
import torch
import torch.multiprocessing
from torch.utils.data import DataLoader

from dassl.engine import distributed
from dassl.engine.distributed import (
    DistributedError,
    DistributedStop,
    agree_all,
    broadcast_models,
    from_first,
    outcomes_of_all,
    own_part,
    process_group,
    rank,
    sum_over_processes,
    whole_batch,
)

PROCESSES = 2


@pytest.mark.parametrize(("count", "processes"), [(4, 1), (4, 2), (5, 2), (7, 3), (3, 3), (32, 5)])
def test_parts_of_a_batch(count, processes, monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: processes)
    parts = []
    for number in range(processes):
        monkeypatch.setattr(distributed, "rank", lambda number=number: number)
        parts.append(list(range(count))[own_part(count)])
    assert [i for part in parts for i in part] == list(range(count))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_a_batch_too_small_for_all(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 4)
    with pytest.raises(DistributedError, match=r"batch of 3 .* 4 processes.*BATCH_SIZE"):
        own_part(3)


def test_alone_nothing_changes():
    loader = DataLoader(torch.arange(7), batch_size=3)
    assert [a.tolist() for a, _ in outcomes_of_all(loader, lambda batch: (batch, batch))] == [[0, 1, 2], [3, 4, 5], [6]]
    assert from_first("content") == "content"


def test_more_processes_than_gpus():
    with (
        mock.patch("torch.cuda.is_available", lambda: True),
        mock.patch("torch.cuda.device_count", lambda: 2),
        mock.patch.dict(os.environ, LOCAL_RANK="2"),
        pytest.raises(DistributedError, match=r"GPUs \(2\): give --nproc-per-node 2"),
        process_group(),
    ):
        pass


def stopped_at(number: int) -> int:
    """Return how many of ten batches each process takes if the second gets a signal in the fourth."""
    stop, taken = DistributedStop(), 0
    with stop.listening(), stop.held():
        for i in stop.until_stopped(range(10)):
            if number == 1 and i == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            taken += 1
    assert stop.signum == signal.SIGTERM
    return taken


def found_by(number: int) -> dict:
    """Return the observations of one process."""
    random.seed(number)
    torch.manual_seed(number)
    distributed.broadcast_random_state()
    found = {"random": random.random(), "torch": torch.rand(2)}
    loader = DataLoader(torch.arange(14.0), batch_size=3)  # five batches
    computed = []

    def compute(batch):
        computed.append(len(batch))
        return batch * 2, batch

    found["evaluated"] = torch.cat([output for output, _ in outcomes_of_all(loader, compute)])
    found["computed"] = computed
    tensors = [torch.full((2,), float(number)), torch.full((1, 3), 2.0 * number)]
    sum_over_processes(tensors)
    found["sums"] = tensors
    found["rows"] = whole_batch(torch.arange(7)[own_part(7)], 7)
    model = torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(model.weight, number + 5.0)
    model.running_mean.fill_(number + 1.0)
    broadcast_models([model])
    found["model"] = dict(model.state_dict())
    found["first"] = from_first({"who": number, "what": (1, torch.ones(2))})
    found["all"] = [agree_all(True), agree_all(number != 1)]
    found["stopped"] = stopped_at(number)
    return found


def one_process(number: int, port: int, folder) -> None:
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(PROCESSES)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "CUDA_VISIBLE_DEVICES": ""}
    torch.set_num_threads(1)
    try:
        with process_group():
            torch.save(found_by(number), folder / f"process {rank()}")
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def test_several_processes(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(one_process, (port, tmp_path), nprocs=PROCESSES, start_method="spawn")
    found = [torch.load(tmp_path / f"process {number}", weights_only=True) for number in range(PROCESSES)]
    first = found[0]
    random.seed(0)
    torch.manual_seed(0)
    assert first["random"] == random.random() and torch.equal(first["torch"], torch.rand(2))
    for other in found:
        assert other["random"] == first["random"] and torch.equal(other["torch"], first["torch"])
        assert torch.equal(other["evaluated"], 2 * torch.arange(14.0))
        assert [tensor.tolist() for tensor in other["sums"]] == [[1.0, 1.0], [[2.0, 2.0, 2.0]]]
        assert torch.equal(other["rows"], torch.arange(7))
        assert other["model"]["weight"].tolist() == [5.0, 5.0] and other["model"]["running_mean"].tolist() == [1, 1]
        assert other["first"]["who"] == 0
        assert other["all"] == [True, False]
        assert other["stopped"] == first["stopped"] == 4
    assert [other["computed"] for other in found] == [[3, 3, 2], [3, 3]], "no batch is computed twice"
