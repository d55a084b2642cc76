"""Read checkpoint files that other people's code wrote, without running anything that is in them.

A checkpoint of the CoOp family holds more than tensors: numpy scalars, and scheduler objects that drag an
optimiser along. PyTorch's restricted reader refuses such files as a whole. Here it is told, for each name in
the file that it does not know, to build an `Inert` stand-in: the tensors can be had and the rest stays dead.
"""

from __future__ import annotations

import io
import os
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from safeio.archive_limits import refuse_bomb, refuse_disproportion
from safeio.errors import MissingFile, UserError

LEGACY_STREAMS = 5  # pickles in a pre-zip file: magic number, version, system, object, storage keys
NUMERIC_CODE = re.compile(r"[fiub][1248]")  # numpy's short names of the plain number types
PYTHON2_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # protocol 2 keeps the old spelling


class CheckpointError(UserError, RuntimeError):
    """The file cannot be read as a checkpoint; the message names it and says what to do."""


class Inert:
    """Stands for an object of a class that is not read: keeps what the file says about it and does
    nothing."""

    source = "unknown"

    def __init__(self, *args: Any):
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __repr__(self) -> str:
        return f"<inert {self.source}>"


def load_checkpoint_file(path: str | os.PathLike) -> dict:
    """Read a file written by `torch.save` (zip or pre-zip format) on the CPU and return its dictionary.

    Tensors, containers, numbers and numpy scalars come back as such, every other object as `Inert`.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is truncated or no checkpoint, holds something else than a dictionary, is a
            TorchScript archive, or asks for what no checkpoint needs (calling into `os`, for example).
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFile(f"There is no checkpoint file {path}.")
    if is_torchscript(path):
        raise CheckpointError(f"{path} is a TorchScript archive (a whole program), not a checkpoint.")
    try:
        refuse_bomb(path)
        _check_sums(path)
        content = _load(path)
        _refuse_claims(path, content)
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read as a checkpoint: it is truncated, of "
            f"another format, or holds what is refused because reading it could run code. If it was "
            f"downloaded or copied, fetch it again. Reason: {_reason(error)}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds {type(content).__name__}, expected a dictionary of tensors.")
    return content


def _check_sums(path: Path) -> None:
    """PyTorch's reader does not compare the checksums that its zip files carry."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"the checksum of {damaged} in it is wrong, so it is damaged")


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


def is_torchscript(path: str | os.PathLike) -> bool:
    """Whether `path` is an archive written by `torch.jit.save`."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _reason(error: Exception) -> str:
    """The line of a message that says what happened; PyTorch surrounds it with general advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Check the documentation")]
    return lines[-1] if lines else type(error).__name__


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as refusal:
        stand_ins = _stand_ins(path)
        if not stand_ins:
            raise refusal
    with torch.serialization.safe_globals(stand_ins):
        return torch.load(path, map_location="cpu", weights_only=True)


def _stand_ins(path: Path) -> list[Any]:
    """What to build for each name in the file; PyTorch's reader asks this only for names it does not know."""
    special = {
        "numpy.dtype": _Dtype,
        "numpy.core.multiarray.scalar": _numpy_scalar,
        "numpy._core.multiarray.scalar": _numpy_scalar,  # numpy 2 moved it
        "collections.defaultdict": _plain_dict,
    }
    return [(special.get(name) or type("Inert", (Inert,), {"source": name}), name) for name in _names(path)]


def _names(path: Path) -> list[str]:
    """Dotted names of all globals that the file mentions, found without loading it."""
    names = set()
    for stream in _streams(path):
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL" and argument is not None:
                module, _, name = argument.partition(" ")
                names.add(f"{PYTHON2_MODULES.get(module, module)}.{name}")
    return sorted(names)


def _streams(path: Path) -> Iterator[BinaryIO]:
    """The pickles of a checkpoint file, each ready to be read from its start."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("/data.pkl"):
                    yield io.BytesIO(archive.read(name))
        return
    with open(path, "rb") as file:
        for _ in range(LEGACY_STREAMS):
            yield file


class _Dtype(Inert):
    """Takes the place of `numpy.dtype`; `_numpy_scalar` reads the code."""

    source = "numpy.dtype"


def _numpy_scalar(dtype: _Dtype, data: bytes) -> np.generic:
    """A number from numpy's way of pickling it: a type code such as `f8`, and bytes."""
    code = dtype.args[0]
    if not NUMERIC_CODE.fullmatch(code):
        raise ValueError(f"numpy type {code!r} is not a plain number")
    order = dtype.state[1] if dtype.state[1] in "<>" else "="
    return np.frombuffer(data, np.dtype(order + code))[0]


def _plain_dict(*_factory: Any) -> dict:
    """Takes the place of `collections.defaultdict`, whose factory would be a callable from the file."""
    return {}
