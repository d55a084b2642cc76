"""Repetition of a run from its record: `python train.py --from-record FOLDER/run.json`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runs.record import FILE_NAME, load_record
from safeio.errors import MissingFile, UserError
from safeio.read_back import DamagedFile

SURROUNDINGS = ("versions", "machine", "code")
FLAGS: dict[str, Any] = {"eval_only": bool, "model_dir": str, "load_epoch": (int, type(None)), "no_train": bool}
OUTCOME = ("images", "classes", "metrics", "parameters_sha256")


class RecordError(UserError, ValueError):
    """The file is no record to repeat a run from; the message names it and what it lacks."""


def read_to_repeat(path: str | Path) -> dict[str, Any]:
    """Return a record, given its file or its run's folder.

    Raises:
        RecordError: there is no record, or it lacks a field that is needed.
    """
    path = Path(path)
    file = path / FILE_NAME if path.is_dir() else path
    try:
        content = load_record(file)
    except MissingFile as error:
        raise RecordError(f"--from-record {path}: there is no record {file}") from error
    except DamagedFile as error:
        raise RecordError(f"--from-record {path}: {error}") from error
    if not all(isinstance(content.get(key), dict) for key in ("config", "flags")):
        raise RecordError(f"--from-record {path}: {file} has no config and flags, which are needed to repeat a run")
    config, flags = content["config"], content["flags"]
    wrong = [key for key, kind in FLAGS.items() if not isinstance(flags.get(key), kind)]
    wrong += [key for key in flags if key not in FLAGS]
    if wrong:
        raise RecordError(f"--from-record {path}: the flags in {file} are not those of a run: {', '.join(wrong)}")
    trainer = config.get("TRAINER")
    names = trainer.get("NAME") if isinstance(trainer, dict) else None, config.get("OUTPUT_DIR")
    if not all(isinstance(name, str) for name in names):
        raise RecordError(f"--from-record {path}: the config in {file} lacks TRAINER.NAME or OUTPUT_DIR")
    return content


def differences(then: Mapping[str, Any], now: Mapping[str, Any], about: tuple[str, ...]) -> Iterator[str]:
    """Yield the differences of two records with both values; a field that one of them lacks is passed over."""
    for field in about:
        if field not in then or field not in now or then[field] == now[field]:
            continue
        if isinstance(then[field], dict) and isinstance(now[field], dict):
            for key in sorted(then[field].keys() | now[field].keys()):
                if not _alike(then[field].get(key), now[field].get(key)):
                    yield f"{field}.{key}: {then[field].get(key)} there, {now[field].get(key)} here"
        else:
            yield f"{field}: {then[field]} there, {now[field]} here"


def _alike(one: Any, other: Any) -> bool:
    """Return True for equal values, and for objects that are equal in what both of them have."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_alike(one[key], other[key]) for key in one.keys() & other.keys())
    return one == other


def say_differences(then: Mapping[str, Any] | None, now: Mapping[str, Any], about: tuple[str, ...], what: str) -> None:
    """Print the differences to the record that is repeated, if there is one."""
    if found := list(differences(then or {}, now, about)):
        print(f"{what}: {'; '.join(found)}")


def code_version() -> str | None:
    """Return git's description of this file's checkout, `-dirty` if files were changed; None without git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
