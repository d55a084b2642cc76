"""Unpickle tensors, containers and numbers, and nothing else: every other object becomes an inert placeholder.

`check_pickle` runs first and limits time and memory. Names in the file are then looked up in the list below, not
imported, so that only functions of that list are called.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from safeio.pickle_limits import WIDEST_KEY, check_pickle

SYSTEM = {"os", "posix", "nt", "sys", "subprocess"}
"""Modules that a file names only to do harm."""
NUMERIC_CODE = re.compile(r"[fiub][1248]")  # numpy's short names of the plain number types
STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
    "UntypedStorage": torch.uint8,
}
DTYPES = {str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, torch.dtype)}


class Inert:
    """Stands for an object of a class that is not read: keeps what the file says about it and does
    nothing."""

    source = "unknown"
    args: tuple = ()
    state: Any = None

    def __init__(self, *args: Any):
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __repr__(self) -> str:
        return f"<inert {self.source}>"


class TensorUnpickler(pickle.Unpickler):
    """Reads one pickle whose tensors' bytes are elsewhere.

    Args:
        file: where it begins.
        storage: (type of the elements, key, their number) -> the elements, one-dimensional.
        file_size: bytes of the file that the pickle is from.
        refuse: whether names that are not known are an error, in place of an `Inert`.
    """

    def __init__(
        self, file: BinaryIO, storage: Callable[[torch.dtype, str, int], Tensor], file_size: int, refuse: bool = False
    ):
        start = file.tell()
        check_pickle(file, file_size)
        file.seek(start)
        super().__init__(file)
        self.storage, self.refuse = storage, refuse
        self._classes: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in STORAGES:
            return STORAGES[name]
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        dotted = f"{module}.{name}"
        if dotted in CALLED:
            return CALLED[dotted]
        if self.refuse or module in SYSTEM:
            raise pickle.UnpicklingError(f"it asks for {dotted}, which no checkpoint needs")
        if module.startswith("torch") and "rebuild" in name:
            raise pickle.UnpicklingError(f"it holds a tensor of another kind than checkpoints need ({dotted})")
        return self._classes.setdefault(dotted, type("Inert", (Inert,), {"source": dotted}))

    def persistent_load(self, pid: Any) -> Tensor:
        """Return the elements of a storage, one-dimensional."""
        if not isinstance(pid, tuple) or len(pid) not in (5, 6):
            raise pickle.UnpicklingError("it refers to something that is no storage")
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or type(count) is not int:
            raise pickle.UnpicklingError("it refers to something that is no storage")
        elements = self.storage(dtype, str(key), count)
        if view and view[0] is not None:
            _, offset, size = view[0]
            elements = elements[offset : offset + size]
        return elements


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """Return a view of a storage. PyTorch refuses one that would reach beyond it."""
    return storage.as_strided(size, stride, offset) if math.prod(size) else storage.new_empty(size)


def _tensor_of_type(storage: Tensor, offset: int, size: tuple, stride: tuple, *more: Any) -> Tensor:
    """Return a view of bytes, for the types that have no storage of their own."""
    return _tensor(storage.view(more[2]), offset, size, stride)


def _parameter(data: Tensor, requires_grad: bool = True, *_: Any) -> Tensor:
    return torch.nn.Parameter(data, bool(requires_grad) and data.is_floating_point())


class _Ordered(OrderedDict):
    """An OrderedDict whose attributes a file cannot replace, but for the versions that a state dict carries."""

    def __setstate__(self, state: Any) -> None:
        kept = state.get("_metadata") if isinstance(state, Mapping) else None
        if isinstance(kept, Mapping) and all(isinstance(value, Mapping) for value in kept.values()):
            self._metadata = kept

    def __reduce__(self) -> Any:
        """Be saved as the plain class: whatever reads the file need not know this one."""
        return OrderedDict, *super().__reduce__()[1:]


def _ordered(pairs: Any = ()) -> OrderedDict:
    found = _Ordered()
    for key, value in pairs:
        found[_key(key)] = value
    return found


def _counter(counts: Any = None) -> Counter:
    return Counter({_key(key): value for key, value in dict(counts or {}).items()})


def _set(members: Any = ()) -> set:
    return {_key(member) for member in members}


def _key(key: Any) -> Any:
    """Return a key whose hash is soon computed and hard to choose."""
    if isinstance(key, (str, bytes, float, type(None))) or (isinstance(key, int) and abs(key) < WIDEST_KEY):
        return key
    raise pickle.UnpicklingError("a key in it is neither a text nor a small number")


def _plain_dict(*_factory: Any) -> dict:
    """Take the place of `collections.defaultdict`, whose factory would be a callable from the file."""
    return {}


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it encodes text as {encoding!r:.40}")
    return text.encode("latin1")


def _device(*_: Any) -> torch.device:
    return torch.device("cpu")


def _first(value: Any, *_: Any) -> Any:
    return value


class _Dtype(Inert):
    """Takes the place of `numpy.dtype`; `_numpy_scalar` reads the code."""

    source = "numpy.dtype"


def _numpy_scalar(dtype: _Dtype, data: bytes) -> np.generic:
    """Return a number from numpy's way of pickling it: a type code such as `f8`, and bytes."""
    code = dtype.args[0]
    if not NUMERIC_CODE.fullmatch(code):
        raise ValueError("a numpy type in it is not a plain number")
    order = dtype.state[1] if dtype.state[1] in "<>" else "="
    return np.frombuffer(data, np.dtype(order + code))[0]


CALLED: dict[str, Callable] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch.Size": torch.Size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered,
    "collections.Counter": _counter,
    "collections.defaultdict": _plain_dict,
    **dict.fromkeys(("builtins.set", "__builtin__.set", "builtins.frozenset", "__builtin__.frozenset"), _set),
    "_codecs.encode": _encoded,
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy._core.multiarray.scalar": _numpy_scalar,  # numpy 2 moved it
}
"""Dotted name in a file -> what is called in its place."""


def as_stream(content: bytes) -> BinaryIO:
    """Return bytes as a file."""
    return io.BytesIO(content)
