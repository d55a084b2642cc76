"""The random generators, and what a run ran on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import random
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

from safeio.errors import UserError

MOST_THREADS = 1024
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # larger ones glibc refuses: such tensors do go back, hence the large pages
KEPT_WHEN_FREED = 2**30
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "scikit-learn", "yacs")


class DeviceError(UserError, ValueError):
    """A device that does not exist here."""


def device_of(name: str | torch.device | None) -> torch.device:
    """Return a device by name; where None, a GPU if there is one.

    Raises:
        DeviceError: no such device, or PyTorch finds none here.
    """
    device: torch.device | None
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise DeviceError(f"There is no device {name!r} here; it must be cpu or cuda.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"The device is to be {device}, but PyTorch finds {torch.cuda.device_count()} GPUs here.")
    return device


def prepare_cpu_memory() -> None:
    """Let tensors on the CPU come in large pages, and keep for the next step what a step frees.

    Memory that is given back to the system comes again page by page, emptied each time; with ordinary pages of 4 KiB
    that takes longer than most elementwise operations on a tensor. To be called before the first large one is there.
    What the environment says of either (`THP_MEM_ALLOC_ENABLE`, `MALLOC_...`, `GLIBC_TUNABLES`) stays.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    keep_freed_memory(KEPT_WHEN_FREED)


def keep_freed_memory(most: int) -> None:
    """Let glibc keep up to `most` bytes of freed memory in one piece; nothing where the environment says how much."""
    if sys.platform == "linux" and not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        with contextlib.suppress(AttributeError):  # a C library that is not glibc
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
            mallopt(M_TRIM_THRESHOLD, most)


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators, on every CUDA device too."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)


def set_deterministic(wanted: bool) -> None:
    """Let a GPU compute the same numbers in every run with the same seed, or as it likes, which is faster.

    What has no deterministic way then raises RuntimeError. On a CPU results are the same either way. To be called
    before anything runs on the GPU.
    """
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it when it starts
    torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.deterministic = wanted
    torch.backends.cudnn.benchmark = torch.cuda.is_available() and not wanted


def versions() -> dict[str, str]:
    """Python and the packages that compute."""
    found = {package: _version(package) for package in PACKAGES}
    return {"python": platform.python_version(), **found, "torch": torch.__version__}  # which names the build, too


def machine(device: str) -> dict[str, Any]:
    """Return the remaining facts that the last bits of a result depend on: processor, GPU if used, threads."""
    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    return {"system": f"{platform.system()} {platform.machine()}", "gpu": gpu, "threads": torch.get_num_threads()}


def compute_as(there: dict[str, Any]) -> None:
    """Use as many threads as the run with this `machine` record: sums over another number round differently."""
    if isinstance(threads := there.get("threads"), int) and 0 < threads <= MOST_THREADS:
        torch.set_num_threads(threads)


def random_state() -> dict[str, Any]:
    """Return the state of the global random generators as tensors, numbers and tuples."""
    _, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Put the global generators where :func:`random_state` found them; CUDA's if the devices are as many."""
    keys, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def collect_env_info() -> str:
    """Python, packages, processor and accelerators, one per line.

    Asks nobody but the running process (no subprocess), and draws no random number: few-shot samples are
    taken right afterwards from the generator that was just seeded.
    """
    lines = [
        f"Platform: {platform.platform()}",
        f"CPU: {os.cpu_count()} cores, PyTorch uses {torch.get_num_threads()} threads",
        *(f"{package}: {number}" for package, number in versions().items()),
        f"CUDA available: {torch.cuda.is_available()} (PyTorch built for {torch.version.cuda})",
    ]
    if torch.cuda.is_available():
        lines += [f"GPU {i}: {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
        lines.append(f"cuDNN: {torch.backends.cudnn.version()}")
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
