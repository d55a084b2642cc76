"""Measurements of a run: images per second, seconds, peak memory, and the mean losses of each epoch."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from safeio.atomic import atomic_write_json
from safeio.errors import MissingFile
from safeio.read_back import DamagedFile, read_json, say

CURVE = "curve.json"
MIB = 2**20


class Measures:
    """Seconds and images by phase, "train" and "test", of one process; earlier attempts of a run are not in it."""

    def __init__(self, device: torch.device):
        self.device = device
        self._seconds: dict[str, float] = {}
        self._images: dict[str, int] = {}
        self._epochs = 0

    def add(self, phase: str, images: int, seconds: float) -> None:
        """Add an epoch of "train", or an evaluation, of which "test" keeps the last only."""
        so_far = phase == "train"
        self._epochs += so_far
        self._seconds[phase] = seconds + so_far * self._seconds.get(phase, 0.0)
        self._images[phase] = images + so_far * self._images.get(phase, 0)

    def as_dict(self) -> dict[str, Any]:
        """Return the measurements for the run's record; a phase that did not take place has no keys."""
        found: dict[str, Any] = {"device": device_name(self.device), "peak_memory_mib": peak_memory_mib(self.device)}
        for phase, seconds in self._seconds.items():
            found[f"{phase}_seconds"] = round(seconds, 3)
            found[f"{phase}_images_per_second"] = round(self._images[phase] / seconds, 3) if seconds else None
        return found | ({"train_epochs": self._epochs} if self._epochs else {})


def device_name(device: torch.device) -> str:
    """The graphics card's name, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def peak_memory_mib(device: torch.device) -> float | None:
    """Highest memory so far in MiB: what torch held on a graphics card, else the process's resident memory."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / MIB, 1)
    try:
        import resource  # POSIX only
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used * (1 if sys.platform == "darwin" else 1024) / MIB, 1)


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Return the epochs in `curve.json`; none where there is no such file, or a damaged one, which gets a warning."""
    try:
        return read_json(path, [{"epoch": int}])
    except MissingFile:
        return []
    except DamagedFile as error:
        say(f"{error} The curve begins anew; the training does not depend on it.")
        return []


def add_to_curve(folder: str | os.PathLike, epoch: int, values: Mapping[str, float]) -> None:
    """Write an epoch's means into `curve.json`, a list of one object per epoch.

    Args:
        epoch: counted from 1. Later epochs in the file are of an earlier attempt and are removed.
        values: by name; what is not finite becomes null.
    """
    path = Path(folder) / CURVE
    rows = [row for row in read_curve(path) if row["epoch"] < epoch]
    row = {name: round(value, 6) if math.isfinite(value) else None for name, value in values.items()}
    atomic_write_json(path, [*rows, {"epoch": epoch, **row}])
