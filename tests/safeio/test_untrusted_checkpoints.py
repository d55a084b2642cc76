"""Whatever bytes a checkpoint file has: a dictionary or a CheckpointError that names the file; nothing is run."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clip.weights import WeightsError, state_dict_from
from safeio import archive_limits
from safeio.archive_limits import refuse_bomb
from safeio.unpickle import CheckpointError, load_checkpoint_file

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CALLS_PRINT = b"cbuiltins\nprint\n(S'run'\ntR."


def written(zipped: bool) -> bytes:
    file = io.BytesIO()
    content = {"state_dict": {"w": torch.arange(6.0)}, "epoch": 3, "val_result": None}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def read(path) -> None:
    """The only two outcomes."""
    try:
        assert isinstance(load_checkpoint_file(path), dict)
    except CheckpointError as error:
        assert str(path) in str(error)


@pytest.mark.filterwarnings("ignore")
@QUIET
@given(st.booleans(), st.data())
def test_damaged_files(tmp_path, zipped, data):
    content = bytearray(written(zipped))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "file").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    read(tmp_path / "file")


@pytest.mark.filterwarnings("ignore")
@QUIET
@given(st.binary(max_size=100))
@example(b"PK\x03\x04")
@example(b"PK\x05\x06" + bytes(18))  # an archive of nothing
@example(CALLS_PRINT)
@example(pickle.dumps({"a": [1, 2]}))
def test_any_bytes(tmp_path, capsys, content):
    (tmp_path / "file").write_bytes(content)
    read(tmp_path / "file")
    assert "run" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")
@QUIET
@given(st.binary(max_size=60))
@example(CALLS_PRINT)
@example(b"\x80\x02}q\x00.")
@example(b"\x80\x02]q\x00h\x00a.")
@example(b"(" * 60)
def test_any_pickle_in_a_whole_archive(tmp_path, capsys, stream):
    with zipfile.ZipFile(io.BytesIO(written(True))) as old, zipfile.ZipFile(tmp_path / "file", "w") as new:
        for name in old.namelist():
            new.writestr(name, stream if name.endswith("data.pkl") else old.read(name))
    read(tmp_path / "file")
    assert "run" not in capsys.readouterr().out


@pytest.fixture
def bomb(tmp_path, monkeypatch):
    """Some KiB that unpack to 64 MiB, where ten times less is held for harmless."""
    monkeypatch.setattr(archive_limits, "HARMLESS", 6 << 20)
    with zipfile.ZipFile(tmp_path / "checkpoint.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(64 << 20))
    return tmp_path / "checkpoint.pt"


def test_bombs_are_refused_unopened(bomb, monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *words, **more: pytest.fail("it was unpacked"))
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt .*would unpack to 0\.07 GB"):
        load_checkpoint_file(bomb)
    with pytest.raises(WeightsError, match=r"arrays\.npz .*would unpack to 0\.07 GB"):
        state_dict_from(bomb.rename(bomb.with_name("arrays.npz")))


CLAIMS = {
    "expanded": torch.ones(1).expand(1 << 20, 1 << 20),
    "without data": torch.empty(1 << 20, 1 << 20, device="meta"),
    "sparse": torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (1 << 20, 1 << 20)),
}


@pytest.mark.parametrize("tensor", CLAIMS.values(), ids=CLAIMS)
def test_tensors_that_claim_more_than_there_is(tmp_path, tensor):
    torch.save({"state_dict": {"w": [tensor]}}, tmp_path / "claims.pt")
    assert (tmp_path / "claims.pt").stat().st_size < 5000
    with pytest.raises(CheckpointError, match=r"claims\.pt.*(another kind|would unpack to 4398\.\d+ GB)"):
        load_checkpoint_file(tmp_path / "claims.pt")


def test_small_expanded_tensors_are_none_of_these(tmp_path):
    torch.save({"w": torch.ones(1).expand(3, 1000)}, tmp_path / "fine.pt")
    assert load_checkpoint_file(tmp_path / "fine.pt")["w"].shape == (3, 1000)


def test_well_packed_small_files_are_no_bombs(tmp_path):
    with zipfile.ZipFile(tmp_path / "zeros.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(1 << 20))
    refuse_bomb(tmp_path / "zeros.zip")


def test_members_that_claim_more_than_the_archive_has(tmp_path):
    """Found by fuzzing: zipfile makes room for what a stored member claims."""
    torch.save({"w": torch.ones(3)}, tmp_path / "model.pt")
    content = bytearray((tmp_path / "model.pt").read_bytes())
    entry = content.rfind(b"PK\1\2")
    content[entry + 20 : entry + 28] = (0x3000_0000).to_bytes(4, "little") * 2  # packed and unpacked size
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="more bytes than it has"):
        load_checkpoint_file(tmp_path / "model.pt")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.npz", "weights.pt"])
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80))
@example(content=b"")  # numpy raised EOFError
@example(content=(1 << 62).to_bytes(8, "little") + b"{}")  # a safetensors header longer than any file
@example(content=(20).to_bytes(8, "little") + b'{"a":{"dtype":"F32"}')
def test_weights_of_any_bytes(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        state_dict_from(tmp_path / name)
