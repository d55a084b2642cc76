"""TorchScript archives: the same weights as `torch.jit.load` gives, and nothing in them is run."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from clip.weights import WeightsError, state_dict_from
from safeio import archive_limits
from safeio.torchscript import torchscript_weights

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit")
QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Parts(nn.Module):
    """Everything that an archive can hold: half precision, views, shared tensors, buffers, plain attributes, lists."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
        self.norm = nn.BatchNorm1d(2)
        self.scale = nn.Parameter(torch.tensor(2.0).half())
        self.turned = nn.Parameter(torch.arange(6.0).reshape(2, 3).T[1:])
        self.shared = self.layers[0].weight
        self.empty = nn.Parameter(torch.empty(0, 3))
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("fleeting", torch.ones(1), persistent=False)
        self.mask = torch.ones(2)
        self.sizes: list[int] = [1, 2]
        self.names: dict[str, int] = {"a": 1}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.norm(x) * self.mask * self.scale.float() + self.turned.sum() + self.sizes[0] + self.names["a"]


class Writes(nn.Module):
    """Leaves a file when it is loaded: TorchScript calls `__setstate__`, and PyTorch's operators can write."""

    def __init__(self, place: str):
        super().__init__()
        self.place = place
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, torch.Tensor, bool]:
        return self.place, self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]) -> None:
        self.place = state[0]
        self.training = state[2]
        self.weight = torch.from_file(self.place, shared=True, size=1)


def scripted(module: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    return file.getvalue()


def traced(module: nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(module.eval(), torch.ones(1, 2)), file)
    return file.getvalue()


def changed(archive: bytes, change) -> bytes:
    """The archive with `change(name, content)` in place of each file; None leaves it out."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            if (content := change(name, old.read(name))) is not None:
                new.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("make", [scripted, traced])
def test_the_same_weights_as_the_program_has(tmp_path, make):
    (tmp_path / "program.pt").write_bytes(make(Parts()))
    wanted = torch.jit.load(tmp_path / "program.pt").state_dict()
    read = torchscript_weights(tmp_path / "program.pt")
    assert list(read) == list(wanted) and "mask" not in read and "layers.1.weight" in read
    for name, tensor in wanted.items():
        torch.testing.assert_close(read[name], tensor, rtol=0, atol=0)
    assert read["shared"].data_ptr() == read["layers.0.weight"].data_ptr()


def test_without_lists_of_buffers_all_tensors_count(tmp_path):
    """As the first releases that wrote archives left them out."""

    def older(name, content):
        lines = content.split(b"\n") if name.endswith(".py") else []
        return b"\n".join(line for line in lines if b"__buffers__" not in line) if lines else content

    (tmp_path / "program.pt").write_bytes(changed(scripted(Parts()), older))
    assert {"mask", "count", "norm.running_mean"} < set(torchscript_weights(tmp_path / "program.pt"))


def test_nothing_in_it_is_run(tmp_path):
    program = scripted(Writes(str(tmp_path / "trace")))
    (tmp_path / "program.pt").write_bytes(program)
    torch.jit.load(tmp_path / "program.pt")
    assert (tmp_path / "trace").exists(), "PyTorch's own reader runs it"
    (tmp_path / "trace").unlink()
    with pytest.raises(WeightsError, match=r"program\.pt"):
        state_dict_from(tmp_path / "program.pt")
    assert not (tmp_path / "trace").exists()


STREAMS = {
    "calls os": b"cos\nsystem\n(S'touch trace'\ntR.",
    "calls print": b"cbuiltins\nprint\n(S'run'\ntR.",
    "class from elsewhere": b"\x80\x02ctorch.nn\nLinear\n)\x81.",
    "storage of another kind": pickle.dumps({"a": 1}),
    "a module of itself": b"\x80\x02c__torch__\nA\n)\x81q\x00}X\x01\0\0\0ah\x00sb.",
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_other_pickles_are_refused(tmp_path, monkeypatch, capsys, stream):
    monkeypatch.chdir(tmp_path)
    given = changed(scripted(Parts()), lambda name, content: stream if name.endswith("/data.pkl") else content)
    (tmp_path / "program.pt").write_bytes(given)
    with pytest.raises(WeightsError, match=r"program\.pt"):
        state_dict_from(tmp_path / "program.pt")
    assert not (tmp_path / "trace").exists() and "run" not in capsys.readouterr().out


def test_a_cut_or_damaged_storage_is_refused(tmp_path):
    archive = scripted(Parts())
    for content in (changed(archive, lambda n, c: c[:-4] if n.endswith("data/0") else c), archive[:-100]):
        (tmp_path / "program.pt").write_bytes(content)
        with pytest.raises(WeightsError, match=r"program\.pt"):
            state_dict_from(tmp_path / "program.pt")
    place = archive.index(zipfile.ZipFile(io.BytesIO(archive)).read("archive/data/0"))
    (tmp_path / "program.pt").write_bytes(archive[:place] + bytes([archive[place] ^ 1]) + archive[place + 1 :])
    with pytest.raises(WeightsError, match=r"program\.pt.*CRC"):
        state_dict_from(tmp_path / "program.pt")


def test_few_bytes_that_claim_to_be_many_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_limits, "HARMLESS", 1 << 20)
    module = nn.Module()
    module.register_buffer("huge", torch.ones(1).expand(1 << 40))
    module.forward = lambda x: x
    (tmp_path / "program.pt").write_bytes(traced(module))
    with pytest.raises(WeightsError, match=r"program\.pt.*4398\.\d+ GB"):
        state_dict_from(tmp_path / "program.pt")


@QUIET
@given(st.booleans(), st.data())
def test_damaged_archives_give_tensors_or_an_error(tmp_path, everywhere, data):
    """`everywhere`: any bytes of the file; else those of its pickle, with sums that fit."""
    archive = ARCHIVE
    if not everywhere:

        def damage(name, content):
            return mutated(content, data) if name.endswith("/data.pkl") else content

        archive = changed(archive, damage)
    else:
        archive = mutated(archive, data)
    (tmp_path / "program.pt").write_bytes(archive)
    try:
        assert all(isinstance(tensor, torch.Tensor) for tensor in state_dict_from(tmp_path / "program.pt").values())
    except WeightsError as error:
        assert "program.pt" in str(error)


def mutated(content: bytes, data: st.DataObject) -> bytes:
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    return bytes(content)


ARCHIVE = scripted(nn.Linear(2, 2))
