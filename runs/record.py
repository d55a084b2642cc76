"""Run record: run.json in a run's output folder. It alone decides whether the run is complete."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from safeio.atomic import atomic_write, atomic_write_json
from safeio.errors import MissingFile
from safeio.lock import FolderInUse, sole_use
from safeio.old_spellings import present_record
from safeio.read_back import DamagedFile, number, read_json, say

FILE_NAME = "run.json"
RUNNING, COMPLETE, FAILED, INTERRUPTED = "running", "complete", "failed", "interrupted"


def scalars(value: Any) -> bool:
    """a value or a list of values"""
    return not isinstance(value, dict) and all(
        isinstance(part, str | bool | type(None)) or number(part)
        for part in (value if isinstance(value, list) else [value])
    )


TEXTS = """status method dataset protocol stage preset task subsample_classes test_classes test_classes_reason backbone
model_dir failure code"""
RECORD = {
    **{f"{name}?": str for name in TEXTS.split()},
    **dict.fromkeys(("seed?", "shots?", "trainable_params?", "skipped_steps?"), int),
    **dict.fromkeys(("config?", "flags?", "origins?", "replaced?", "versions?", "machine?", "data?", "images?"), dict),
    **dict.fromkeys(("efficiency?", "phases?"), dict),
    **{name: {str: number} for name in ("metrics?", "timing?")},
    "swept?": {str: scalars},
    "symbols?": {str: str},
    **{f"{name}?": [str] for name in ("classes", "marks", "notices")},
}
"""Shape of a record; each part may be missing, as in those of older versions."""


class RunRecord:
    """Writes the record of one run: when it starts, when it ends, or that it failed.

    Args:
        folder: the run's output folder.
        fields: what is known at the start (method, dataset, task, subsample_classes, shots, seed, backbone,
            versions, config ...); docs/sweeps.md lists them.

    Attributes:
        earlier: what an earlier attempt left here; None if there was none.
        built: True once data, weights and settings were usable: an earlier failure would occur in every run.
    """

    def __init__(self, folder: str | Path, fields: dict[str, Any]):
        self.path = Path(folder) / FILE_NAME
        self.earlier = read_record(folder)
        self.built = False
        self._before = b"" if self.earlier is None else self.path.read_bytes()
        self._began = time.monotonic()  # the clock may be set while the run continues
        self.content = {**fields, "status": RUNNING, "metrics": {}, "timing": {"started": time.time()}}

    def write(self) -> None:
        """Write the record to disk, completely or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_json(self.path, self.content)

    def _put_back(self) -> None:
        """Restore the record of the earlier attempt, byte for byte."""
        with atomic_write(self.path) as file:
            file.write(self._before)

    def complete(self, metrics: dict[str, float], **fields: Any) -> None:
        """The run ended as it should, with these results."""
        self._end(COMPLETE, metrics=metrics, **fields)

    def failed(self, error: BaseException, refused: bool = False) -> None:
        """The run ended with an error: record it, or restore an earlier attempt's record that is still true.

        Args:
            refused: the error says that this is another run than the earlier attempt, whose checkpoints are unchanged.
        """
        earlier = self.earlier or {}
        was_complete = earlier.get("status") == COMPLETE
        had_begun = bool(earlier) and earlier.get("built") is not False
        if (was_complete and not self.built) or (had_begun and refused):
            self._put_back()
        else:
            self._end_with(FAILED, error)

    def interrupted(self, error: BaseException) -> None:
        """The run was asked to stop; it can be continued."""
        self._end_with(INTERRUPTED, error)

    def _end_with(self, status: str, error: BaseException) -> None:
        """A record that cannot be written must not hide the error: a full disk may be just that."""
        try:
            self._end(status, failure=f"{type(error).__name__}: {error}", built=self.built)
        except OSError as unwritten:
            print(f"The run's record could not be written: {unwritten}", file=sys.stderr)

    def _end(self, status: str, **fields: Any) -> None:
        seconds = round(time.monotonic() - self._began, 3)
        timing = {**self.content["timing"], "ended": time.time(), "seconds": seconds}
        self.content |= {"status": status, "timing": timing, **fields}
        self.write()


def close_abandoned(folder: str | Path) -> None:
    """Record that a run was killed if its record says running and no process works in its folder."""
    try:
        with sole_use(folder):
            record = read_record(folder)
            if record is not None and record.get("status") == RUNNING:
                failure = "the process that wrote this record was killed; the same command continues the run"
                atomic_write_json(Path(folder) / FILE_NAME, record | {"status": FAILED, "failure": failure})
    except (FolderInUse, OSError) as error:
        print(f"{error}", file=sys.stderr)


def set_aside_log(folder: str | Path) -> None:
    """Rename an earlier attempt's log by its time: `log.txt` is always the newest attempt's."""
    log = Path(folder) / "log.txt"
    if log.is_file():
        ended = time.localtime(log.stat().st_mtime)
        log.replace(log.with_name(log.name + time.strftime("-%Y-%m-%d-%H-%M-%S", ended)))


def read_record(folder: str | Path) -> dict[str, Any] | None:
    """Return the record in a run's folder, or None where there is none, or a damaged one, which gets a warning."""
    try:
        return load_record(folder)
    except MissingFile:
        return None
    except DamagedFile as error:
        say(f"{error} The run counts as not done.")
        return None


def load_record(folder: str | Path) -> dict[str, Any]:
    """Return the record in a run's folder, or in a file.

    Raises:
        MissingFile, DamagedFile: there is none, or it is not as `RECORD` says; the message names file and place.
    """
    path = Path(folder)
    return present_record(read_json(path / FILE_NAME if path.is_dir() else path, RECORD))


def is_complete(folder: str | Path) -> bool:
    """Return whether the run in this folder is complete; a folder without a record never is."""
    record = read_record(folder)
    return record is not None and record.get("status") == COMPLETE
