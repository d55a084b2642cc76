"""Checkpoints of published code can be read, and nothing in a file is ever run."""

from __future__ import annotations

import collections
import os
import pickle
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
import torch

from safeio.unpickle import CheckpointError, Inert, is_torchscript, load_checkpoint_file

FORMATS = {"zip": True, "before zip": False}


class WarmupScheduler(torch.optim.lr_scheduler.LRScheduler):
    """Like warm-up schedulers of the family: holds a second one, and with it the optimiser."""

    def __init__(self, optimizer, successor):
        self.successor = successor
        super().__init__(optimizer)

    def get_lr(self):
        return [group["lr"] for group in self.optimizer.param_groups]


@pytest.fixture(params=FORMATS)
def save(request, tmp_path):
    def write(obj, name="model.pth.tar-5"):
        torch.save(obj, tmp_path / name, _use_new_zipfile_serialization=FORMATS[request.param])
        return tmp_path / name

    return write


def published_checkpoint():
    """Return the family's `save_checkpoint` file after a step of training, scheduler object included."""
    model = torch.nn.Linear(3, 2).half().float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    successor = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    scheduler = WarmupScheduler(optimizer, successor)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()  # fills the optimiser's state, a defaultdict keyed by parameters
    scheduler.step()
    return {
        "state_dict": collections.OrderedDict(model.state_dict(), half=torch.ones(2, dtype=torch.float16)),
        "epoch": 5,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "val_result": np.float64(71.25),
    }


def test_published_checkpoint(save):
    written = published_checkpoint()
    assert isinstance(written["scheduler"]["successor"], torch.optim.lr_scheduler.CosineAnnealingLR)
    read = load_checkpoint_file(save(written))
    assert list(read) == list(written) and read["epoch"] == 5
    assert list(read["state_dict"]) == ["weight", "bias", "half"]
    for name, tensor in written["state_dict"].items():
        torch.testing.assert_close(read["state_dict"][name], tensor, rtol=0, atol=0)
    momentum = read["optimizer"]["state"][0]["momentum_buffer"]
    assert torch.equal(momentum, written["optimizer"]["state"][0]["momentum_buffer"])
    assert read["val_result"] == 71.25 and isinstance(read["val_result"], np.float64)
    successor = read["scheduler"]["successor"]
    assert isinstance(successor, Inert) and "CosineAnnealingLR" in repr(successor)
    assert successor.state["T_max"] == 50


def test_whole_scheduler_object_as_value(save):
    written = published_checkpoint()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1)
    written["scheduler"] = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7)
    read = load_checkpoint_file(save(written))
    assert isinstance(read["scheduler"], Inert)
    assert torch.equal(read["state_dict"]["weight"], written["state_dict"]["weight"])


@pytest.mark.parametrize("code", ["float16", "float32", "float64", "int64", "uint8", "bool"])
def test_numpy_scalars(save, code):
    value = np.dtype(code).type(1)
    read = load_checkpoint_file(save({"val_result": value, "w": torch.ones(1)}))["val_result"]
    assert read == value and read.dtype == value.dtype


def with_other_pickle(source, target, change):
    """Copy a checkpoint, its object tree changed as bytes."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name.endswith("data.pkl") else old.read(name))


def test_numpy_scalar_written_under_numpy_1(tmp_path):
    torch.save({"val_result": np.float32(0.5)}, tmp_path / "new.pt")
    swap = (b"numpy._core.", b"numpy.core.") if np.__version__ >= "2" else (b"numpy.core.", b"numpy._core.")
    with_other_pickle(tmp_path / "new.pt", tmp_path / "old.pt", lambda stream: stream.replace(*swap))
    assert load_checkpoint_file(tmp_path / "old.pt")["val_result"] == np.float32(0.5)


def test_a_plain_state_dict_needs_no_stand_ins(save):
    read = load_checkpoint_file(save(torch.nn.BatchNorm1d(2).state_dict()))
    assert read["num_batches_tracked"].dtype == torch.int64


class Reduces:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


HARMFUL = {  # each would leave a file called "trace"
    "os.system": (os.system, "touch trace"),
    "subprocess": (subprocess.check_output, ["touch", "trace"]),
    "eval": (eval, "open('trace', 'w')"),
    "exec": (exec, "open('trace', 'w')"),
    "open": (open, "trace", "w"),
    "os.mkdir": (os.mkdir, "trace"),
    "shutil": (shutil.copy, __file__, "trace"),
    "torch.save": (torch.save, {}, "trace"),
    "numpy": (np.save, "trace", [1]),
}


@pytest.mark.parametrize("call", HARMFUL.values(), ids=HARMFUL)
def test_nothing_from_the_file_is_run(save, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    path = save({"state_dict": {"w": torch.ones(2)}, "epoch": Reduces(*call)})
    try:
        read = load_checkpoint_file(path)
    except CheckpointError as error:
        assert str(path) in str(error)
    else:
        assert isinstance(read["epoch"], Inert) and torch.equal(read["state_dict"]["w"], torch.ones(2))
    assert not list(tmp_path.glob("trace*"))


def test_calling_the_result_of_a_stand_in_is_refused(tmp_path):
    stream = b"\x80\x02c__builtin__\ngetattr\ncshutil\nos\nX\x06\0\0\0system\x86RX\x0b\0\0\0touch trace\x85R."
    torch.save({}, tmp_path / "empty.pt")
    with_other_pickle(tmp_path / "empty.pt", tmp_path / "bad.pt", lambda _: stream)
    with pytest.raises(CheckpointError, match=r"bad\.pt.*'Inert' object is not callable"):
        load_checkpoint_file(tmp_path / "bad.pt")


def test_a_file_that_names_os_is_refused_with_the_reason(save):
    path = save({"w": torch.ones(1), "x": Reduces(os.system, "touch trace")})
    with pytest.raises(CheckpointError, match=r"model\.pth\.tar-5 .*system.*run code"):
        load_checkpoint_file(path)


def test_damaged_files(save, tmp_path):
    path = save(published_checkpoint())
    whole = path.read_bytes()
    for keep in (0, 10, len(whole) // 3, len(whole) - 40):
        path.write_bytes(whole[:keep])
        with pytest.raises(CheckpointError, match=r"model\.pth\.tar-5.*truncated"):
            load_checkpoint_file(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_files_of_other_kinds(tmp_path):
    for content in (b"<html>404 not found</html>", pickle.dumps({"a": 1}), os.urandom(500)):
        (tmp_path / "other.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"other\.pt"):
            load_checkpoint_file(tmp_path / "other.pt")
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match=r"tensor\.pt holds Tensor, expected a dictionary"):
        load_checkpoint_file(tmp_path / "tensor.pt")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        load_checkpoint_file(tmp_path / "nowhere.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_is_told_apart(tmp_path):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "program.pt"))
    assert is_torchscript(tmp_path / "program.pt")
    with pytest.raises(CheckpointError, match=r"program\.pt is a TorchScript archive"):
        load_checkpoint_file(tmp_path / "program.pt")


def test_what_was_read_can_be_saved_and_read_again(tmp_path):
    weights = torch.nn.BatchNorm1d(3).state_dict()  # carries versions
    torch.save({"state_dict": weights}, tmp_path / "first")
    read = load_checkpoint_file(tmp_path / "first")
    torch.save(read, tmp_path / "second")
    again = torch.load(tmp_path / "second", weights_only=True)["state_dict"]
    assert type(again).__name__ == "OrderedDict" and again._metadata == weights._metadata
    assert load_checkpoint_file(tmp_path / "second")["state_dict"].keys() == weights.keys()
