"""Where a training stands in the middle of an epoch, on disk, and the way back to it.

One file holds all of it: every model with optimiser and schedule, the batches done, the random generators at
the start of the epoch and after the last step. Coming back, the epoch's batches are drawn again from the same
generators, those already trained on are let pass, and the rest is as if nothing had happened.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dassl.utils.checkpoint import load_checkpoint, save_plain
from safeio.unpickle import CheckpointError

NAME, PREVIOUS = "resume.pth", "resume-previous.pth"


class Position(NamedTuple):
    """How far a training is.

    Attributes:
        epoch: completed epochs; batches: those done of the next.
        epoch_start, now: the random generators at the start of that epoch and behind the last step.
    """

    epoch: int
    batches: int
    epoch_start: dict[str, Any]
    now: dict[str, Any]


def write_position(folder: str | os.PathLike, content: dict[str, Any]) -> None:
    """Write the file; the one before it is kept under another name until the next."""
    path = Path(folder) / NAME
    if path.is_file():
        os.replace(path, path.with_name(PREVIOUS))
    save_plain(content, path)


def read_position(folder: str | os.PathLike) -> dict[str, Any] | None:
    """The newest file that can be read, None if there is none; a damaged one is said and passed over."""
    for name in (NAME, PREVIOUS):
        path = Path(folder) / name
        if not path.is_file():
            continue
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            print(f"WARNING: {error} The one before it is used, if there is one.", file=sys.stderr)
    return None


def remove_positions(folder: str | os.PathLike) -> None:
    """Remove the files of a training that is done."""
    for name in (NAME, PREVIOUS):
        (Path(folder) / name).unlink(missing_ok=True)
