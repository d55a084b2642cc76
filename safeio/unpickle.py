"""Read checkpoint files that other people's code wrote, without running anything that is in them.

A checkpoint of the CoOp family holds more than tensors: numpy scalars, and scheduler objects that drag an
optimiser along. PyTorch's restricted reader refuses such files as a whole, and has no bound on the time and memory
that a few bytes may cost. `safeio.tensor_pickle` reads the tensors and leaves the rest dead; here are the two formats
of `torch.save` around it, zip archives and what was written before them.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from safeio.archive_limits import refuse_bomb, refuse_disproportion
from safeio.pickle_limits import STREAM_HARMLESS, STREAM_RATIO, UnboundedPickle
from safeio.read_back import DamagedFile, read_back
from safeio.tensor_pickle import Inert, TensorUnpickler, as_stream

__all__ = ["CheckpointError", "Inert", "is_torchscript", "load_checkpoint_file"]

LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
ZIP = b"PK\3\4"
"""First bytes of a zip archive."""
REMEDY = (
    "It is truncated, of another format, or holds what is refused because reading it could run code. If it was "
    "downloaded or copied, fetch it again; if a run left it, delete it and start the run again."
)


class CheckpointError(DamagedFile, RuntimeError):
    """The file cannot be read as a checkpoint; the message names it and says what to do."""


def load_checkpoint_file(path: str | os.PathLike) -> dict:
    """Read a file written by `torch.save` (zip or pre-zip format) on the CPU and return its dictionary.

    Tensors, containers, numbers and numpy scalars come back as such, every other object as `Inert`.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is truncated or no checkpoint, holds something else than a dictionary, is a
            TorchScript archive, or asks for what no checkpoint needs (calling into `os`, for example).
    """
    return read_back(path, _read, REMEDY, "a checkpoint", CheckpointError)


def _read(path: Path) -> dict:
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            if file.read(len(ZIP)) == ZIP:
                raise ValueError("its end is missing")
            file.seek(0)
            content = _legacy(file, path.stat().st_size)
    elif is_torchscript(path):
        raise CheckpointError(f"{path} is a TorchScript archive (a whole program), not a checkpoint.")
    else:
        refuse_bomb(path)
        with zipfile.ZipFile(path) as archive:
            content = _zipped(archive, path)
    _refuse_claims(path, content)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds {type(content).__name__}, expected a dictionary of tensors.")
    return content


def is_torchscript(path: str | os.PathLike) -> bool:
    """Return true for an archive written by `torch.jit.save`; a damaged archive is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # zipfile answers a damaged directory with almost any exception
        return False


def member_bytes(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    """Return a pickle or text in an archive, which may not unpack to much more than the archive's size.

    The zip's checksum is compared.
    """
    size, packed = archive.getinfo(name).file_size, os.path.getsize(path)
    if size > max(STREAM_HARMLESS, STREAM_RATIO * packed):
        raise UnboundedPickle(f"{name} in it would unpack to {size:,} bytes, it has {packed:,}")
    return archive.read(name)


class ArchiveStorages:
    """The tensors' bytes in a zip archive, each read once.

    Args:
        root: folder in the archive.
    """

    def __init__(self, archive: zipfile.ZipFile, root: str):
        self.archive, self.root = archive, root
        self._read: dict[str, Tensor] = {}
        if f"{root}/byteorder" in archive.namelist() and archive.read(f"{root}/byteorder") != b"little":
            raise ValueError("it was written on a machine of the other byte order")

    def __call__(self, dtype: torch.dtype, key: str, count: int) -> Tensor:
        """Return the elements of a storage."""
        if key not in self._read:
            content = bytearray(self.archive.read(f"{self.root}/data/{key}"))
            self._read[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        if self._read[key].dtype != dtype or self._read[key].numel() != count:
            raise ValueError(f"the storage {key:.20} is not of {count} elements of {dtype}")
        return self._read[key]


def _zipped(archive: zipfile.ZipFile, path: Path) -> Any:
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise ValueError("it has two members of one name")
    (tree,) = [name for name in names if name.endswith("/data.pkl")] or [""]
    if not tree:
        raise ValueError("it is an archive without a data.pkl")
    for name in names:  # those that no tensor refers to are compared with their checksums too
        if "/data/" not in name and name != tree:
            member_bytes(archive, path, name)
    storages = ArchiveStorages(archive, tree.removesuffix("/data.pkl"))
    stream = as_stream(member_bytes(archive, path, tree))
    return TensorUnpickler(stream, storages, path.stat().st_size).load()


def _legacy(file: BinaryIO, size: int) -> Any:
    """Five pickles (magic number, version, system, object, keys of the storages), then the storages' bytes."""
    storages: dict[str, Tensor] = {}
    claimed = 0

    def storage(dtype: torch.dtype, key: str, count: int) -> Tensor:
        nonlocal claimed
        if key not in storages:
            claimed += count * dtype.itemsize
            if not count >= 0 or claimed > size:
                raise ValueError(f"its tensors have {claimed:,} bytes, the file has {size:,}: it is truncated")
            storages[key] = torch.empty(count, dtype=dtype)
        if storages[key].dtype != dtype:
            raise ValueError(f"the storage {key:.20} is of two types")
        return storages[key]

    def following() -> Any:
        return TensorUnpickler(file, storage, size).load()

    if following() != LEGACY_MAGIC or following() != LEGACY_PROTOCOL:
        raise ValueError("it is no file of torch.save")
    system = following()
    if isinstance(system, Mapping) and system.get("little_endian") is False:
        raise ValueError("it was written on a machine of the other byte order")
    content = following()
    keys = following()
    if not isinstance(keys, list) or sorted(keys) != sorted(storages):
        raise ValueError("its tensors are not those that it lists")
    for key in keys:
        elements = storages[key]
        expected = elements.numel() * elements.element_size()
        count = int.from_bytes(file.read(8), "little")
        data = file.read(expected) if count == elements.numel() else b""
        if len(data) != expected:
            raise ValueError("it ends in the middle of a tensor: it is truncated")
        if data:
            elements.copy_(torch.frombuffer(bytearray(data), dtype=elements.dtype))
    return content


def _refuse_claims(path: Path, content: Any) -> None:
    """A tensor can be written as larger than its data (expanded, sparse, without data): a few bytes then fill the
    memory where they are first computed with."""
    waiting, seen, claimed = [content], set(), 0
    while waiting:
        part = waiting.pop()
        if id(part) in seen:  # a list can hold itself
            continue
        seen.add(id(part))
        if isinstance(part, Mapping):
            waiting += part.values()
        elif isinstance(part, (list, tuple, set)):
            waiting += part
        elif isinstance(part, torch.Tensor):
            if part.layout != torch.strided or part.device.type != "cpu" or part.is_quantized:
                kind = f"{part.layout}, {part.device}"
                raise ValueError(f"it holds a tensor of another kind than checkpoints need ({kind})")
            claimed += part.numel() * part.element_size()
    refuse_disproportion(path, claimed)
