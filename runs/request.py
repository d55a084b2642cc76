"""Check whether a finished run is the requested one: its settings and its data must be the same."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from runs.names import ZERO_SHOT
from runs.protocol import CONFIGS, OWN_DATA, PlanError, PlannedRun, datasets, read
from runs.record import COMPLETE, RunRecord, is_complete, read_record
from runs.train_arguments import parse_words
from safeio.fingerprint import files_fingerprint, folder_fingerprint
from safeio.names import nearest_name
from safeio.old_spellings import present_setting
from safeio.trees import leaves

FLAGS = {
    "trainer": "TRAINER.NAME",
    "seed": "SEED",
    "backbone": "MODEL.BACKBONE.NAME",
    "head": "MODEL.HEAD.NAME",
    "train_epoch": "OPTIM.MAX_EPOCH",
    "transforms": "INPUT.TRANSFORMS",
    "name": "DATASET.OWN_NAME",
    "source_domains": "DATASET.SOURCE_DOMAINS",
    "target_domains": "DATASET.TARGET_DOMAINS",
}
"""Options of train.py that are settings which matter."""
NO_MATTER = {
    *("OUTPUT_DIR", "RESUME", "VERBOSE", "USE_CUDA", "DATASET.ROOT", "PROTOCOL", "STAGE", "SWEPT"),
    *("TRAIN.PRINT_FREQ", "TRAIN.TRACK"),
    *(f"DATALOADER.{name}" for name in ("NUM_WORKERS", "CACHE", "CACHE_DISK_GIB", "CACHE_MEMORY_GIB")),
}
"""Settings that may differ between a finished run and the requested one."""
FINGERPRINTS = 2
"""Number of the way in which fingerprints are taken: those of records of another way say nothing."""
LATER_LAYERS = ("preset", "per-dataset value", "test_classes of", "roles of")
"""Origins that go before a yaml file's values."""


def already_done(run: PlannedRun, output: Path, root: str, extra: Sequence[str] = ()) -> bool:
    """Return whether a run is complete with the requested settings and data.

    Args:
        output: where the runs' folders are; root: of the datasets; extra: words of train.py's command line.

    Raises:
        PlanError: the folder holds a complete run of other settings or other data; both are named.
    """
    folder = output / run.folder
    if not is_complete(folder):
        return False
    record = read_record(folder) or {}
    refuse_slips(extra, record)
    if found := list(differences(run, record, root, extra)):
        more = f", and {len(found) - 4} more" if len(found) > 4 else ""
        raise PlanError(
            f"{folder} holds a complete run with {'; '.join(found[:4])}{more}. Choose another --output, or remove it."
        )
    return True


def check_trained(run: PlannedRun, protocol: str, output: Path) -> None:
    """Refuse to test what was not trained, before weights and images are loaded.

    Raises:
        PlanError: there is no folder of the training; the message says which command makes it.
    """
    if run.model_folder is None or run.trainer in ZERO_SHOT or (output / run.model_folder).is_dir():
        return
    known, shots = datasets(), run.options["DATASET.NUM_SHOTS"]
    source = next((part for part in Path(run.model_folder).parts if part in known), run.dataset)
    train = f"mmrl train {run.trainer} {source} --protocol {protocol} --shots {shots} --seed {run.seed}"
    raise PlanError(
        f"There is no trained run in {output / run.model_folder}: train it first, with `{train}`, or with "
        f"the script of that name ending in _train.sh."
    )


def refuse_slips(extra: Sequence[str], record: Mapping[str, Any]) -> None:
    """Refuse keys of a command line that a run with all methods' settings on record has not, and words for numbers.

    Raises:
        PlanError: there is one; the message names the nearest key, or what the value has to be.
    """
    config = record.get("config") or {}
    known = [key for key, _ in leaves(config)]
    opts = parse_words(extra)[1].opts if known else []
    for given, value in zip(opts[::2], opts[1::2], strict=False):
        key, value = present_setting(given, value)
        if key not in known and given not in NO_MATTER:
            near = nearest_name(given, known)
            hint = f"the nearest is {near}" if near else "`mmrl config METHOD DATASET --all` shows all keys"
            raise PlanError(f"Unknown key {given!r} in command line; {hint}")
        there, plain = _value(config, key), _plain(value)
        kind = bool if isinstance(there, bool) else float  # of all numbers, see _plain
        if isinstance(there, int | float) and not isinstance(plain, kind) and plain != "auto":
            wanted = "True or False" if kind is bool else "a number"
            raise PlanError(f"{key} in command line is {value!r}, expected {wanted} such as {there}")


def differences(run: PlannedRun, record: Mapping[str, Any], root: str, extra: Sequence[str] = ()) -> Iterator[str]:
    """Yield the differences between a record and a request; fields that the record lacks are ignored."""
    _, args = parse_words(run.arguments(Path("output"), root, extra))
    config = record.get("config")
    if not isinstance(config, dict):
        return
    for key, value in asked_of(args, record).items():
        there = _value(config, key)
        if key not in NO_MATTER and there is not None and not same_value(there, value):
            yield f"{key} {there}, not {value}"
    data = _comparable(record)
    yield from other_lists(data, args.root or root)
    yield from other_outside(data)
    if run.dataset == OWN_DATA and data.get("fingerprint"):
        now = folder_fingerprint(args.root or root)
        if now != data["fingerprint"]:
            yield (
                f"the images of {data.get('root')} (fingerprint {data['fingerprint'][:12]}), not those of "
                f"{os.path.abspath(args.root or root)} ({now[:12] or 'nothing there'})"
            )


def asked_of(args: argparse.Namespace, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a command line of train.py asks for, by key, as far as its words and files say.

    Args:
        record: of a run. What its command line set has, if this one does not repeat it, the value that was replaced.
    """
    asked = dict(zip(args.opts[::2], args.opts[1::2], strict=False))
    asked |= {key: value for flag, key in FLAGS.items() if (value := getattr(args, flag)) is not None}
    asked |= {"DETERMINISTIC": True} if args.deterministic else {}
    asked = dict(present_setting(*pair) for pair in asked.items())
    asked = {**(record.get("replaced") or {}), **asked}
    origins = record.get("origins") or {}
    for file in (args.dataset_config_file, args.config_file):
        for key, value in (present_setting(*pair) for pair in leaves(read(_found(file)))) if file else ():
            if key not in asked and not origins.get(key, "").startswith(LATER_LAYERS):
                asked[key] = value
    return asked


def _found(file: str) -> Path:
    return Path(file) if Path(file).is_file() else CONFIGS.parent / file


def _value(config: Mapping[str, Any], key: str) -> Any:
    there: Any = config
    for part in key.split("."):
        there = there.get(part) if isinstance(there, dict) else None
    return there


def same_value(there: Any, wanted: Any) -> bool:
    """Return whether a recorded value is what a yaml file or a command line says."""
    if isinstance(there, list) and isinstance(wanted, str) and not isinstance(_plain(wanted), list):
        wanted = [wanted]  # a single word is a list of it
    return _plain(there) == _plain(wanted) or str(there) == str(wanted)


def _plain(value: Any) -> Any:
    """Return a value without the ways of writing it: `1e-3` is 0.001, `(1, 2)` is [1, 2]."""
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value.replace("(", "[").replace(")", "]"))
        except Exception:  # yaml answers texts such as 2024-99-99 with kinds beside its own
            return value
    if isinstance(value, list | tuple):
        return [part for part in map(_plain, value) if part is not None]
    try:
        return value if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return value


def data_of(root: str, own: bool, lists: Sequence[str] = ()) -> dict[str, Any]:
    """Return a record's entry on the data: its place, and fingerprints that distinguish it from other data.

    Args:
        own: own images, all of which count.
        lists: of a benchmark, below its root: the files that say which image is for what, and the names.
    """
    place = os.path.abspath(os.path.expanduser(root))
    known = {name: mark for name in lists if (mark := folder_fingerprint(Path(place, name)))}
    own_mark = folder_fingerprint(place) if own else ""
    return {"root": place, "fingerprint": own_mark, "lists": known, "fingerprints": FINGERPRINTS}


def _comparable(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a record says of the data, nothing where its fingerprints were taken in another way."""
    data = record.get("data") or {}
    return data if data.get("fingerprints") == FINGERPRINTS else {}


def other_lists(data: Mapping[str, Any], root: str) -> Iterator[str]:
    """Yield the lists of a benchmark that are not those on record; one that is not there says nothing."""
    for name, mark in (data.get("lists") or {}).items():
        now = folder_fingerprint(Path(root, name))
        if now and now != mark:
            place = Path(data.get("root", ""), name)
            yield f"the list {place} (fingerprint {mark[:12]}), which is now another ({now[:12]})"


def outside_of(folders: Sequence[str]) -> dict[str, Any]:
    """Return what a record says of folders outside the data's own place, whose images a list names."""
    return {"folders": list(folders), "fingerprint": files_fingerprint(folders)} if folders else {}


def other_outside(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield that images outside the data's own place are not those on record; none there says nothing."""
    outside = data.get("outside") or {}
    now = files_fingerprint(outside.get("folders") or ())
    if now and now != outside["fingerprint"]:
        first = f"the images in {outside['folders'][0]}"
        yield f"{first} (fingerprint {outside['fingerprint'][:12]}), which are now others ({now[:12]})"


def check_same_kind(record: RunRecord) -> None:
    """Refuse to replace the record of a complete run by that of another method, or of a test instead of a training.

    Raises:
        PlanError: the folder holds such a run.
    """
    before, now = record.earlier or {}, record.content
    if before.get("status") != COMPLETE:
        return
    if before.get("method", now["method"]) != now["method"]:
        held = f"run of {before['method']}"
    elif (before.get("flags") or now["flags"]).get("eval_only") != now["flags"]["eval_only"]:
        held = "training" if now["flags"]["eval_only"] else "test of a trained model"
    else:
        return
    raise PlanError(
        f"{record.path.parent} holds a complete {held}, whose record would be lost. Give another --output-dir, or "
        f"remove the folder."
    )


def check_same_data(record: RunRecord) -> None:
    """Refuse to continue a run on other images than it began with.

    Raises:
        PlanError: the folder holds a run on other images; both are named.
    """
    before = record.earlier or {}
    if before.get("built") is False:  # it failed before it used any, perhaps because of an image that is now repaired
        return
    earlier, now = _comparable(before), record.content["data"]
    if others := [*other_lists(earlier, now["root"]), *other_outside(earlier)]:
        raise PlanError(
            f"{record.path.parent} holds a run with {'; '.join(others)}. Give another --output-dir, or remove it."
        )
    if earlier.get("fingerprint") and earlier["fingerprint"] != now["fingerprint"]:
        raise PlanError(
            f"{record.path.parent} holds a run on other images: those of {earlier.get('root')} (fingerprint "
            f"{earlier['fingerprint'][:12]}), now {now['root']} ({now['fingerprint'][:12] or 'none'}). Give another "
            f"--output-dir, or remove the folder."
        )
