"""Copies of complete runs: protocols that ask for the same training need to train it only once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import Any

from runs.protocol import PlannedRun, load_protocol, protocols
from runs.record import COMPLETE, FILE_NAME, RunRecord, is_complete, read_record
from runs.repeat import SURROUNDINGS, say_differences
from runs.request import NO_MATTER, other_outside
from runs.sweep.process import CONSOLE
from safeio.atomic import atomic_write
from safeio.lock import HOLDER, LOCK
from safeio.trees import leaves

MAY_DIFFER = (NO_MATTER | {"TASK"}) - {"RESUME"}
"""Settings that may differ between runs of one training; a run that continues another one (RESUME) is not the same."""
OWN_FIELDS = ("protocol", "stage", "preset", "swept", "symbols", "task", "config", "origins", "unverified")
"""Fields of a copied record that are the new run's."""
RULE = "TEST.CLASSES"
OWN_FILES = {FILE_NAME, CONSOLE, LOCK, HOLDER}
"""Files that each run has for itself."""


def words(run: PlannedRun, output: Path) -> list[str]:
    """Return train.py's words that offer it the complete runs that may be the same training, of other protocols.

    Args:
        output: where the runs' folders are.
    """
    return [word for folder in _candidates(run, output) for word in ("--reuse", str(folder))]


def _candidates(run: PlannedRun, output: Path) -> Iterator[Path]:
    """Yield the complete trainings of the same method, dataset, number of shots and seed; none for a test."""
    if run.model_folder is not None:
        return
    about = {
        "dataset": run.options.get("DATASET.OWN_NAME", run.dataset),
        "shots": run.options.get("DATASET.NUM_SHOTS"),
        "trainer": run.trainer,
        "seed": run.seed,
    }
    stages = [stage for name in protocols() for stage in load_protocol(name)["stages"].values()]
    templates = dict.fromkeys(stage["folder"] for stage in stages if "evaluates" not in stage)
    own = next((end for each in templates if run.folder.endswith(end := each.format(cfg=run.cfg, **about))), None)
    if own is None:  # a run outside the protocols' folders, such as a trial of a search
        return
    above = output / run.folder.removesuffix(own)  # a preset's and swept values have folders of their own
    as_text = {name: escape(str(value)) for name, value in about.items()}
    for each in templates:
        for folder in sorted(above.glob(each.format(cfg="*", **as_text))):
            if folder != output / run.folder and is_complete(folder):
                yield folder


def equal_run(record: Mapping[str, Any], folders: Sequence[str | Path]) -> Path | None:
    """Return the first of these folders with a complete run of the same settings, seed and data; None: there is none.

    Args:
        record: of the run that is about to start.
    """
    if record.get("plugins"):  # their files may have changed since
        return None
    for folder in map(Path, folders):
        other = read_record(folder) or {}
        same = other.get("status") == COMPLETE and _compared(other) == _compared(record)
        if same and not any(other_outside(other.get("data") or {})):
            return folder
    return None


def _compared(record: Mapping[str, Any]) -> Any:
    """Return what two runs of one training have in common: settings with method and seed, data, kind of run."""
    settings = {key: value for key, value in leaves(record.get("config") or {}) if key not in MAY_DIFFER}
    data = record.get("data") or {}
    return (
        settings,
        [data.get(key) for key in ("root", "fingerprint", "lists", "fingerprints")],
        record.get("flags"),
        record.get("plugins"),
    )


def copy_run(source: Path, record: RunRecord) -> None:
    """Copy a complete run into the folder of one that asks for the same training, and complete its record.

    Results, timing, versions and machine stay those of the run that was trained; `copied_from` names it.
    """
    theirs = read_record(source) or {}
    say_differences(theirs, record.content, SURROUNDINGS, "Copied from a run of other surroundings")
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = file.relative_to(source)
        if place.name not in OWN_FILES:
            with open(file, "rb") as original, atomic_write(record.path.parent / place) as copy:
                shutil.copyfileobj(original, copy)
    own = {key: record.content[key] for key in OWN_FIELDS}
    if theirs.get("test_classes_reason") == theirs["origins"].get(RULE):  # a protocol's file, which may be another here
        own["test_classes_reason"] = own["origins"].get(RULE)
    record.content = {**theirs, **own, "copied_from": str(source)}
    record.write()
