"""Copies of complete runs: protocols that ask for the same training need to train it only once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runs.protocol import PlannedRun, load_protocol, protocols
from runs.record import COMPLETE, FILE_NAME, RunRecord, is_complete, read_record
from runs.repeat import SURROUNDINGS, say_differences
from runs.request import NO_MATTER, other_outside
from runs.sources import LANGUAGE_MODEL
from runs.sweep.process import CONSOLE
from safeio.atomic import atomic_write
from safeio.lock import HOLDER, LOCK, in_use
from safeio.trees import leaves

MAY_DIFFER = (NO_MATTER | {"TASK"}) - {"RESUME", "DATALOADER.NUM_WORKERS"}
"""Settings that may differ between runs of one training; how many processes augment the images decides the result."""
OWN_FIELDS = ("protocol", "stage", "preset", "swept", "symbols", "task", "config", "origins", "replaced", "unverified")
"""Fields of a copied record that are the new run's."""
RULE = "TEST.CLASSES"
COPYING = ".copy-"
"""Beginning of the name of a folder for what is being copied."""
OWN_FILES = (FILE_NAME, CONSOLE, LOCK, HOLDER)
"""Files that each run has for itself."""


def candidates(run: PlannedRun, output: Path) -> Iterator[Path]:
    """Yield the complete runs of other protocols that may be the same training: same method, dataset, shots and seed.

    Args:
        run: for a test there are none.
        output: where the runs' folders are.
    """
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


def words(run: PlannedRun, output: Path) -> list[str]:
    """Return train.py's words that offer it the candidates for a run."""
    return [word for folder in candidates(run, output) for word in ("--reuse", str(folder))]


def copied(record: RunRecord, folders: Sequence[str], images: Mapping[str, Any], others: Collection[str]) -> bool:
    """Copy one of these runs into the record's folder if it is the same training, complete the record, and say so.

    Args:
        record: of the run that is about to train, with its settings and data.
        images: those that it would use.
        others: keys of other methods' settings, which do not matter.
    """
    target, mine = record.path.parent, {**record.content, "images": images}
    for left in target.glob(f"{COPYING}*"):  # by a copy that was killed
        shutil.rmtree(left, ignore_errors=True)
    begun = "this run has begun already" if any(target.rglob("*.pth.tar*")) else ""
    for source in map(Path, folders):
        theirs = read_record(source) or {}
        reason = begun or _never(mine) or _difference(theirs, mine, others) or _take(source, theirs, target)
        if reason:
            print(f"{source} is not copied: {reason}.")
            continue
        print(f"Copied from {source}, a complete run with the same settings, seed and data.")
        say_differences(theirs, record.content, SURROUNDINGS, "It was run in other surroundings")
        record.content = _as_own(theirs, record.content, source)
        record.write()
        return True
    return False


def _never(record: Mapping[str, Any]) -> str:
    """Return why no run can be the same training as this one for certain; empty if one can."""
    config = record["config"]
    if record["flags"].get("eval_only") or record["flags"].get("no_train"):
        return "this run trains nothing"
    if config["SEED"] < 0:
        return "this run has no seed"
    if config["RESUME"]:
        return "this run continues another one (RESUME)"
    if record.get("plugins") or LANGUAGE_MODEL in record.get("marks", ()):
        return "this run reads plugins or texts, which may have changed since"
    return ""


def _difference(theirs: Mapping[str, Any], mine: Mapping[str, Any], others: Collection[str]) -> str:
    """Return the first difference between a complete run and the one to be trained; empty if there is none."""
    if theirs.get("status") != COMPLETE:
        return "there is no complete run"
    there, here = _settings(theirs, others), _settings(mine, others)
    began = (theirs.get("timing") or {}).get("started", 0.0)
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            return f"{key} is {there.get(key)} there, {here.get(key)} here"
        if isinstance(here[key], str) and _changed(os.path.expanduser(here[key])) > began:
            return f"{here[key]} ({key}) has changed since"
    for name in ("flags", "plugins", "images"):
        if theirs.get(name) != mine.get(name):
            return f"its {name} are others"
    data = theirs.get("data") or {}
    if any(data.get(name) != mine["data"].get(name) for name in ("fingerprint", "lists", "fingerprints")):
        return "its data are others"
    return next(other_outside(data), "")


def _changed(path: str) -> float:
    """Return when a file, or anything in a folder, was last written or put there; 0 where there is none."""
    inside = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    states = [os.stat(each) for each in (path, *inside) if path and os.path.exists(each)]
    return max((max(state.st_mtime, state.st_ctime) for state in states), default=0.0)


def _settings(record: Mapping[str, Any], others: Collection[str]) -> dict[str, Any]:
    """Return the settings that decide what is learned, by dotted key."""
    every = leaves(record.get("config") or {})
    return {
        key: value for key, value in every if key not in MAY_DIFFER and not any(key.startswith(f"{n}.") for n in others)
    }


def _take(source: Path, theirs: Mapping[str, Any], target: Path) -> str:
    """Copy the files of a run, all or none of them; return why they could not be copied, empty if they were."""
    with TemporaryDirectory(dir=target, prefix=COPYING) as place:
        try:
            shutil.copytree(source, place, ignore=_others_files, copy_function=_copy, dirs_exist_ok=True)
        except OSError as error:  # shutil.Error, which has all of them, is one
            return f"it cannot be copied ({error})"
        if in_use(source) or read_record(source) != theirs:
            return "it has changed meanwhile"
        for entry in sorted(Path(place).iterdir()):
            if entry.is_dir():
                shutil.rmtree(target / entry.name, ignore_errors=True)  # without a checkpoint, see `copied`
            entry.replace(target / entry.name)
    return ""


def _others_files(folder: str, names: list[str]) -> set[str]:
    """Return the entries of a run's folder that are not part of its result: its own files, and other runs."""
    runs = {name for name in names if os.path.isfile(os.path.join(folder, name, FILE_NAME))}
    return runs | {name for name in names if name in OWN_FILES or name.startswith(COPYING)}


def _copy(source: str, target: str) -> None:
    """Copy one file so that it reaches the disk."""
    with open(source, "rb") as original, atomic_write(target) as file:
        shutil.copyfileobj(original, file)


def _as_own(theirs: Mapping[str, Any], mine: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """Return the record of a copy: results, timing, versions and machine are of the run that was trained."""
    own = {key: mine[key] for key in OWN_FIELDS}
    reason = theirs.get("test_classes_reason")
    if reason == (theirs.get("origins") or {}).get(RULE):  # a protocol's file, which may be another here
        reason = own["origins"].get(RULE, reason)
    trained = theirs.get("copied_from") or str(source.resolve())
    return {**theirs, **own, "test_classes_reason": reason, "copied_from": trained}
