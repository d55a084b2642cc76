"""Set how PyTorch's threads on a CPU wait for one another, and how many there are.

OpenMP reads both once, when torch is loaded. So every package that loads torch imports this module first. A variable
that the user has set stays.

By default, waiting threads spin and take the processor from other programs. Here they sleep: slower on an idle machine,
up to five times faster on a busy one (docs/benchmarks.md has both). There is one thread for each core, in a container
as many as its quota allows. The number does not depend on the load: another number of threads rounds sums differently,
and a run could not be repeated.
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
"""True where the user has chosen a number of threads."""


def allowed_cores() -> int:
    """Return how many cores this process may use at a time, by its affinity and its container's quota; 1 or more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, quota())))


def quota() -> float:
    """Return how many cores the container may use, as a fraction; infinite without a limit (Linux)."""
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
