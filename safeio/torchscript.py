"""The weights in a TorchScript archive, read from its data alone: `torch.jit.load` would run the program beside them.

An archive of `torch.jit.save` holds its modules as a pickle that names their classes, tensors as raw bytes, and the
classes as text. Here classes become empty records, and of the text only the two lists of names are looked at that tell
parameters and buffers from other attributes.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import re
import zipfile
from ast import literal_eval
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from safeio.archive_limits import refuse_disproportion
from safeio.unpickle import Inert

STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
CLASS = re.compile(
    r"^class (?P<name>\w+)\(Module\):\n  __parameters__ = (?P<parameters>\[.*\])\n"
    r"(?:  __buffers__ = (?P<buffers>\[.*\])\n)?",
    re.MULTILINE,
)
MOST = 1_000_000
"""Attributes of all modules; a large CLIP has some ten thousand, one that holds itself has no end of them."""


def torchscript_weights(path: str | os.PathLike) -> OrderedDict[str, Tensor]:
    """What `torch.jit.load(path, "cpu").state_dict()` gives, without running anything that is in the file.

    Raises:
        Exception: of almost any kind, where the archive is damaged or asks for what no archive of weights needs.
    """
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).rpartition("/")[0]
        if f"{root}/byteorder" in archive.namelist() and archive.read(f"{root}/byteorder") != b"little":
            raise ValueError("it was written on a machine of the other byte order")
        program = _Data(archive, root).load()
        weights = OrderedDict(_weights(program, _declared(archive, root)))
    refuse_disproportion(path, sum(tensor.numel() * tensor.element_size() for tensor in weights.values()))
    return weights


class _Data(pickle.Unpickler):
    """Builds tensors and empty records, and nothing else."""

    def __init__(self, archive: zipfile.ZipFile, root: str):
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")))
        self.archive, self.root = archive, root
        self.read: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return type("Module", (Inert,), {"source": f"{module}.{name}"})
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict  # of backward hooks, always empty
        if module == "torch.jit._pickle":  # lists and dictionaries among the attributes
            return _first
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which an archive of weights does not need")

    def persistent_load(self, pid: Any) -> Tensor:
        """The elements of a storage, one-dimensional."""
        kind, dtype, key, _, numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"it refers to {pid!r}, which is no storage")
        if key not in self.read:
            content = bytearray(self.archive.read(f"{self.root}/data/{key}"))
            self.read[key] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        if self.read[key].dtype != dtype or self.read[key].numel() != numel:
            raise pickle.UnpicklingError(f"the storage {key} is not of {numel} elements of {dtype}")
        return self.read[key]


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """A view of a storage. PyTorch refuses one that would reach beyond it."""
    return storage.as_strided(size, stride, offset) if math.prod(size) else storage.new_empty(size)


def _first(value: Any, *_: Any) -> Any:
    return value


def _declared(archive: zipfile.ZipFile, root: str) -> dict[str, set[str] | None]:
    """Dotted class name -> names of its parameters and buffers; None for old archives, which list no buffers."""
    found = {}
    for file in archive.namelist():
        if file.startswith(f"{root}/code/") and file.endswith(".py"):
            module = file.removeprefix(f"{root}/code/").removesuffix(".py").replace("/", ".")
            for match in CLASS.finditer(archive.read(file).decode()):
                names = [*literal_eval(match["parameters"]), *literal_eval(match["buffers"] or "[]")]
                found[f"{module}.{match['name']}"] = set(names) if match["buffers"] else None
    return found


def _weights(program: Inert, declared: dict[str, set[str] | None]) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a module and those within it, in PyTorch's order: own ones first."""
    waiting, left = [("", program)], MOST
    while waiting:
        prefix, module = waiting.pop()
        own, within = declared.get(module.source), []
        left -= 1 + len(module.state)
        if left < 0:
            raise ValueError(f"its modules have more than {MOST:,} parts")
        for name, value in module.state.items():
            if isinstance(value, Tensor) and (own is None or name in own):
                yield prefix + name, value
            elif isinstance(value, Inert):
                within.append((f"{prefix}{name}.", value))
        waiting += reversed(within)
