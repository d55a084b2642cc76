"""Run records below a folder, grouped for a report."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from runs.names import method_name
from runs.protocol import PlanError, load_protocol, stages_of
from runs.record import COMPLETE, FILE_NAME, read_record
from runs.sweep.search import STORE, TRIALS
from safeio.errors import MissingFile
from safeio.read_back import say

PROTOCOL_OF_TASK = {"B2N": "base2new", "FS": "few_shot", "CD": "cross_dataset"}
"""For records of before there was a field `protocol`."""
OWN_CLASSES = "no protocol: a run that trains"
"""Beginning of the reason for the prediction rule of a run that belongs to no protocol and tests what it trained."""
TABLES = {
    "base2new": ("base", "new"),
    "cross_dataset": ("source", "target"),
    "domain_generalization": ("target",),
    "few_shot": ("all",),
}
"""Protocols with a table, and the parts that are its cells."""
MEASURES = ("TEST.FIT_TEMPERATURE",)
"""Swept settings that only add a metric, so that they make neither an ablation nor another setting."""
USUAL_PRESET = "paper"
"""Charts name only the others."""

FIELDS = {
    **dict.fromkeys(("method", "dataset", "status", "protocol", "task", "preset", "backbone", "test_classes"), str),
    **dict.fromkeys(("seed", "shots"), int),
    **dict.fromkeys(
        ("swept", "symbols", "config", "metrics", "timing", "efficiency", "calibration", "unverified"), dict
    ),
}
"""Fields read from a record, and their types; all but the first three may be missing."""


def topic_of(key: str) -> str:
    """Return the topic of a key, whichever method it belongs to: ALPHA of `TRAINER.MMRL.ALPHA`."""
    return re.sub(r"^TRAINER\.[^.]+\.", "", key)


@dataclass(frozen=True, order=True)
class Line:
    """Key of a table's row: runs whose keys differ are never averaged.

    Attributes:
        preset: "paper", "fair", or "" in records without it.
        swept: the swept keys and their values, as text, by name.
        fixed: keys that a sweep set to one value for all runs of the protocol: no ablation, but not the protocol's.
        symbols: how the paper writes swept keys, for those that it has a symbol for.
    """

    method: str
    preset: str
    backbone: str
    swept: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    symbols: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def settings(self) -> str:
        """The swept values: `α=0.1, OPTIM.LR=0.002`."""
        names = dict(self.symbols)
        return ", ".join(f"{names.get(key) or topic_of(key)}={value}" for key, value in self.swept)

    def label(self) -> str:
        """The method with what was swept, for legends."""
        return method_name(self.method) + (f" [{self.settings()}]" if self.swept else "")


@dataclass(frozen=True)
class RecordedRun:
    """One record and its place.

    Attributes:
        folder: relative to the report's folder, with forward slashes.
        part: what was tested: base, new or all classes; across datasets "source" or "target".
        accuracy: in percent; None if the run is not complete.
    """

    folder: str
    line: Line
    protocol: str
    part: str
    dataset: str
    shots: int
    seed: int
    record: dict[str, Any]

    @property
    def complete(self) -> bool:
        return self.record.get("status") == COMPLETE

    @property
    def accuracy(self) -> float | None:
        return self.number("metrics", "accuracy") if self.complete else None

    def number(self, *path: str) -> float | None:
        """Return the number at a path of keys in the record; None where there is none, or none that is finite."""
        node: Any = self.record
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        return float(node) if isinstance(node, int | float) and not isinstance(node, bool) and isfinite(node) else None

    @property
    def notices(self) -> list[str]:
        """Return the run's warnings about its own result, such as a damaged best model."""
        return self.record.get("notices") or []

    @property
    def device(self) -> str:
        """Return the machine it ran on; "" if the record does not say."""
        found = (self.record.get("efficiency") or {}).get("device")
        return found if isinstance(found, str) else ""

    @property
    def trained(self) -> bool:
        """Return whether this run trained the parameters that it tested."""
        return self.part in ("base", "all", "source")


def find_runs(root: Path) -> list[RecordedRun]:
    """Every run that has a record below `root`, by folder.

    Raises:
        FileNotFoundError: there is no such folder, or no record in it.
    """
    if not root.is_dir():
        raise MissingFile(f"There is no folder {root}: give the output folder of finished runs.")
    found = _settled([run for folder in _folders(root) if (run := _read(root, folder)) is not None])
    if not found:
        if damaged := unreadable(root):
            raise MissingFile(f"None of the {FILE_NAME} below {root} can be read: {', '.join(map(str, damaged[:3]))}.")
        raise MissingFile(f"No {FILE_NAME} of a run below {root}: it is not the output folder of runs.")
    return found


def _settled(runs: list[RecordedRun]) -> list[RecordedRun]:
    """Return the runs with swept keys of one value in all runs that they concern moved from `swept` to `fixed`.

    A key ``TRAINER.X.*`` concerns the methods that have it in any run of the protocol, another key all methods.
    """
    seen: dict[tuple[str, str], dict[str, set[str | None]]] = defaultdict(lambda: defaultdict(set))
    keys = {(run.protocol, key) for run in runs for key, _ in run.line.swept}
    for run in runs:
        values = dict(run.line.swept)
        for protocol, key in keys:
            if protocol == run.protocol:
                seen[protocol, key][run.line.method].add(values.get(key))

    def is_fixed(run: RecordedRun, key: str) -> bool:
        by_method = seen[run.protocol, key]
        own = key.startswith("TRAINER.")
        return len(set().union(*(of for of in by_method.values() if not own or of != {None}))) == 1

    return [replace(run, line=_fix(run.line, {key for key, _ in run.line.swept if is_fixed(run, key)})) for run in runs]


def _fix(line: Line, keys: set[str]) -> Line:
    fixed = tuple(pair for pair in line.swept if pair[0] in keys)
    return replace(line, swept=tuple(pair for pair in line.swept if pair[0] not in keys), fixed=fixed)


def unreadable(root: Path) -> list[Path]:
    """Folders below `root` whose record is damaged or not ours: their runs are missing in everything."""
    return [folder for folder in _folders(root) if _read(root, folder) is None]


def _folders(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root):
        below.sort()
        if Path(folder) != root and {STORE, TRIALS} & set(files):  # trials are judged by validation images: no results
            below.clear()
            continue
        if FILE_NAME in files:
            yield Path(folder)


def _read(root: Path, folder: Path) -> RecordedRun | None:
    """None for a file that is no record of ours, or a damaged one."""
    record = read_record(folder)
    if record is None or not {"method", "dataset", "status"} <= set(record):
        return None
    if wrong := [key for key, kind in FIELDS.items() if not isinstance(record.get(key, kind()), kind)]:
        say(f"{folder / FILE_NAME} is damaged (see {', '.join(wrong)}). The run is left out.")
        return None
    protocol = record.get("protocol") or _without_a_protocol(record)
    swept = {key: value for key, value in (record.get("swept") or {}).items() if key not in MEASURES}
    shots = int(record.get("shots") or 0)
    if protocol in TABLES and shots not in load_once(protocol)["shots"]:
        swept.setdefault("DATASET.NUM_SHOTS", shots)  # not the protocol's: not to be averaged with those
    return RecordedRun(
        folder=folder.relative_to(root).as_posix(),
        line=Line(
            method=record["method"],
            preset=record.get("preset") or "",
            backbone=record.get("backbone") or "",
            swept=tuple(sorted((key, text_of(value)) for key, value in swept.items())),
            symbols=tuple(sorted((key, str(symbol)) for key, symbol in (record.get("symbols") or {}).items())),
        ),
        protocol=protocol,
        part=_part(protocol, record),
        dataset=record["dataset"],
        shots=shots,
        seed=int(record.get("seed", -1)),
        record=record,
    )


def _without_a_protocol(record: dict[str, Any]) -> str:
    """Return the protocol whose table a run of none belongs to: few-shot where it trained and tested all classes."""
    why = str(record.get("test_classes_reason", ""))
    whole = record.get("subsample_classes") == "all" and record.get("test_classes") == "seen"
    return "few_shot" if whole and why.startswith(OWN_CLASSES) else PROTOCOL_OF_TASK.get(record.get("task", ""), "")


def text_of(value: Any) -> str:
    """A swept value for readers: `[3, 4, 5]` is 3-5."""
    numbers = isinstance(value, list) and len(value) > 1 and all(isinstance(part, int) for part in value)
    if numbers and all(part == value[0] + i for i, part in enumerate(value)):
        return f"{value[0]}-{value[-1]}"
    return str(value)


def _part(protocol: str, record: dict[str, Any]) -> str:
    if protocol == "domain_generalization":  # it trains no source of its own; the rule may be that for seen classes
        return "target"
    if protocol == "cross_dataset":
        return "source" if record.get("test_classes") == "seen" else "target"
    return record.get("subsample_classes") or "all"


def in_no_table(run: RecordedRun) -> bool:
    """Return whether a complete run belongs to no protocol that has a table, or to no cell of it."""
    return run.complete and (run.protocol not in TABLES or run.part not in TABLES[run.protocol])


def seeds_of(protocol: str) -> tuple[int, ...]:
    """The seeds that a protocol asks for."""
    return tuple(load_once(protocol)["seeds"])


@cache
def load_once(protocol: str) -> dict[str, Any]:
    """A protocol's data, read from its file the first time."""
    return load_protocol(protocol)


@cache
def takes_part(method: str, protocol: str, stage: str) -> bool:
    """Return whether a method has runs of a protocol's stage; True for methods that are unknown here."""
    try:
        return stage in stages_of(protocol, method)
    except PlanError:
        return True
