"""The weights in a TorchScript archive, read from its data alone: `torch.jit.load` would run the program beside them.

An archive of `torch.jit.save` holds its modules as a pickle that names their classes, tensors as raw bytes, and the
classes as text. Here classes become empty records, and of the text only the two lists of names are looked at that tell
parameters and buffers from other attributes.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from safeio.archive_limits import refuse_disproportion
from safeio.tensor_pickle import Inert, TensorUnpickler, as_stream
from safeio.unpickle import ArchiveStorages, member_bytes

CLASS = re.compile(
    r"^class (?P<name>\w+)\(Module\):\n  __parameters__ = (?P<parameters>\[.*\])\n"
    r"(?:  __buffers__ = (?P<buffers>\[.*\])\n)?",
    re.MULTILINE,
)
QUOTED = re.compile(r"""["']([^"']*)["']""")
MOST, LONGEST = 1_000_000, 1 << 25
"""Attributes of all modules, and characters of their names: a large CLIP has some ten thousand of the one, a module
that holds itself has no end of them."""


def torchscript_weights(path: str | os.PathLike) -> OrderedDict[str, Tensor]:
    """Return `torch.jit.load(path, "cpu").state_dict()` without running anything that is in the file.

    Raises:
        Exception: of almost any kind, where the archive is damaged or asks for what no archive of weights needs.
    """
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.endswith("/constants.pkl")).rpartition("/")[0]
        stream = as_stream(member_bytes(archive, Path(path), f"{root}/data.pkl"))
        program = _Data(stream, ArchiveStorages(archive, root), os.path.getsize(path), refuse=True).load()
        weights = OrderedDict(_weights(program, _declared(archive, Path(path), root)))
    refuse_disproportion(path, sum(tensor.numel() * tensor.element_size() for tensor in weights.values()))
    return weights


class _Data(TensorUnpickler):
    """Builds tensors and empty records, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return type("Module", (Inert,), {"source": f"{module}.{name}"})
        if module == "torch.jit._pickle":  # lists and dictionaries among the attributes
            return _first
        return super().find_class(module, name)


def _first(value: Any, *_: Any) -> Any:
    return value


def _declared(archive: zipfile.ZipFile, path: Path, root: str) -> dict[str, set[str] | None]:
    """Dotted class name -> names of its parameters and buffers; None for old archives, which list no buffers."""
    found = {}
    for file in archive.namelist():
        if file.startswith(f"{root}/code/") and file.endswith(".py"):
            module = file.removeprefix(f"{root}/code/").removesuffix(".py").replace("/", ".")
            for match in CLASS.finditer(member_bytes(archive, path, file).decode()):
                names = QUOTED.findall(match["parameters"]) + QUOTED.findall(match["buffers"] or "")
                found[f"{module}.{match['name']}"] = set(names) if match["buffers"] else None
    return found


def _weights(program: Inert, declared: dict[str, set[str] | None]) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a module and those within it, in PyTorch's order: own ones first."""
    waiting, left, characters = [("", program)], MOST, LONGEST
    while waiting:
        prefix, module = waiting.pop()
        own, within = declared.get(module.source), []
        left -= 1 + len(module.state)
        characters -= sum(len(prefix) + len(name) for name in module.state)
        if left < 0 or characters < 0:
            raise ValueError(f"its modules have more than {MOST:,} parts, or names of more than {LONGEST:,} characters")
        for name, value in module.state.items():
            if isinstance(value, Tensor) and (own is None or name in own):
                yield prefix + name, value
            elif isinstance(value, Inert):
                within.append((f"{prefix}{name}.", value))
        waiting += reversed(within)
