"""The threads that PyTorch computes with on a CPU: how they wait, and how many there are.

Importing this module says both to OpenMP, which reads them once, when torch is loaded: every package that loads torch
imports it first. A variable that the user has set stays.

Threads that wait for one another spin by default, and take the processor from whatever else runs; asleep they cost a
step some microseconds on an idle machine and on a busy one nothing (docs/benchmarks.md). There are as many as there are
cores, of a container as many as its quota allows. The number is never chosen by how busy the machine is: sums over
another number of threads round otherwise, and a run would not be repeatable.
"""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

NUMBER = "OMP_NUM_THREADS"
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""The variables of the standard and of Intel's and LLVM's runtimes, which read their own."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
OLD_QUOTA, OLD_PERIOD = (Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{part}_us") for part in ("quota", "period"))
GIVEN = NUMBER in os.environ
"""Return whether the user has chosen a number of threads."""


def allowed_cores() -> int:
    """Return how many cores this process may use at a time, by its affinity and its container's quota; 1 or more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, quota())))


def quota() -> float:
    """Return the processors' time that the container may take, in cores; infinite where nothing limits it (Linux)."""
    try:
        if QUOTA.is_file():
            limit, period = QUOTA.read_text(encoding="ascii").split()
        else:
            limit, period = (file.read_text(encoding="ascii").strip() for file in (OLD_QUOTA, OLD_PERIOD))
        return math.inf if limit in ("max", "-1") else int(limit) / int(period)
    except (OSError, ValueError):
        return math.inf


def prepare(environment: MutableMapping[str, str]) -> None:
    """Set what is not set; the number of threads only where a quota allows fewer than OpenMP would start."""
    for name, value in WAITING.items():
        environment.setdefault(name, value)
    if quota() < (os.cpu_count() or 1):
        environment.setdefault(NUMBER, str(allowed_cores()))


prepare(os.environ)
