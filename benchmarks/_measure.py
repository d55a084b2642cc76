"""Measure time, memory and agreement of two computations of the same thing, in one process and in turn."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import platform
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

MIB = 2**20
IN_A_ROW = 3
"""Timed calls of a turn."""
FIRST_STEPS = {"cuda": 8, "cpu": 2}
"""Untimed training steps; on a GPU as many as it takes until graphs are recorded and compared."""


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Repeats(NamedTuple):
    """Seconds of each repeat of a computation: by the clock, and summed over the process's threads.

    The second is the first times the threads on an idle machine, and is what remains comparable on a busy one, where
    threads that wait for others sleep (`safeio/threads.py`) and count for nothing.
    """

    clock: list[float]
    cpu: list[float]


def in_turn(
    computations: dict[str, Callable[[], Any]], turns: int, device: torch.device, warm_up: int | None = None
) -> dict[str, Repeats]:
    """Time each computation in `turns` turns of three calls; they alternate, so that a busy machine slows all alike.

    A computation may return the processor seconds that other processes spent on it.

    A turn begins with an untimed call: training steps follow their own kind, and what the other computation left of
    caches and free memory is not theirs. Untimed calls of each come first: one, on a GPU enough for CUDA graphs to
    be recorded and compared.
    """
    for compute in computations.values():
        for _ in range((8 if device.type == "cuda" else 1) if warm_up is None else warm_up):
            compute()
    found = {name: Repeats([], []) for name in computations}
    for _ in range(turns):
        for name, compute in computations.items():
            compute()
            for _ in range(IN_A_ROW):
                synchronise(device)
                began, busy = time.perf_counter(), time.process_time()
                elsewhere = compute()
                synchronise(device)
                found[name].clock.append(time.perf_counter() - began)
                spent = elsewhere if isinstance(elsewhere, float) else 0.0
                found[name].cpu.append(time.process_time() - busy + spent)
    return found


def median_ms(seconds: list[float]) -> float:
    """Return the median in milliseconds."""
    return 1000 * statistics.median(seconds)


def medians(found: dict[str, Repeats], device: torch.device) -> dict[str, float]:
    """Return each computation's milliseconds by the clock, and on a CPU those of all threads."""
    result = {f"{name}_ms": median_ms(repeats.clock) for name, repeats in found.items()}
    if device.type == "cpu":
        result |= {f"{name}_cpu_ms": median_ms(repeats.cpu) for name, repeats in found.items()}
    return result


def moved_apart(start: list[Tensor], one: list[Tensor], other: list[Tensor]) -> float:
    """Return the length of the difference of parameters that began alike, relative to that of the change in `one`.

    Not the largest element: an optimiser that divides by the gradient's size moves what has no gradient but rounding.
    """
    way, apart = (torch.cat([(b - a).flatten() for a, b in zip(of, one, strict=True)]) for of in (start, other))
    return (apart.norm() / way.norm().clamp(min=1e-12)).item()


def gflop(compute: Callable[[], Any]) -> float:
    """Return the floating-point operations of a computation's matrix products, in 10^9."""
    with FlopCounterMode(display=False) as counted:
        compute()
    return counted.get_total_flops() / 1e9


def peak_memory(compute: Callable[[], Any], device: torch.device) -> float:
    """Return a computation's peak memory in MiB beyond what is allocated before it.

    On a GPU the allocator's count; on a CPU the process's resident memory, looked at every two milliseconds.
    """
    gc.collect()
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        compute()
        synchronise(device)
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    _give_back_freed_memory()
    before, peak, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            done.wait(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        compute()
    finally:
        done.set()
        watcher.join()
    return max(0, peak - before) / MIB


def resident() -> int:
    """Return this process's bytes in memory (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def _give_back_freed_memory() -> None:
    with contextlib.suppress(OSError):  # not glibc: what is freed stays counted as held before
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def hardware(device: torch.device) -> dict[str, Any]:
    """Return the facts that a result depends on, for the record."""
    found = {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}
    found["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return found


def _cpu_name() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.processor()
