"""Where a training stands in the middle of an epoch, on disk, and the way back to it.

One file holds all of it: every model with optimiser and schedule, the batches done, the random generators at
the start of the epoch and after the last step. Coming back, the epoch's batches are drawn again from the same
generators, those already trained on are let pass, and the rest is as if nothing had happened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dassl.utils.checkpoint import load_checkpoint, save_plain
from dassl.utils.environment import random_state
from safeio.unpickle import CheckpointError

if TYPE_CHECKING:
    from dassl.engine.base import TrainerBase

NAME, PREVIOUS = "resume.pth", "resume-previous.pth"
PARTS = {"epoch": int, "batches": int, "models": Mapping, "epoch_start": Mapping, "now": Mapping}


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


def save_position(trainer: TrainerBase, epoch: int, batches: int, epoch_start: dict[str, Any]) -> None:
    """Write where a training stands: `epoch` epochs done, `batches` batches of the next.

    The file before it is kept under another name until the next.

    Args:
        epoch_start: the random generators at the start of that epoch, as `random_state` gives them.
    """
    content = {
        "epoch": epoch,
        "batches": batches,
        "models": {name: trainer.checkpoint_state(name, epoch) for name in trainer.get_model_names()},
        "epoch_start": epoch_start,
        "now": random_state(),
    }
    path = Path(trainer.output_dir) / NAME
    if path.is_file() and path not in trainer.damaged:  # which must not push out the good one before it
        os.replace(path, path.with_name(PREVIOUS))
    save_plain(content, path)
    trainer.damaged.discard(path)


def restore_position(trainer: TrainerBase, folder: str | os.PathLike, completed: int) -> Position | None:
    """Put a trainer to the saved position if it is further than `completed` epochs; None if there is no such."""
    content = _newest(folder, trainer.damaged)
    if content is None or content["epoch"] < completed or set(content["models"]) != set(trainer.get_model_names()):
        return None
    for name, state in content["models"].items():
        trainer.restore_state(name, state)
    print(f"Resumed in epoch {content['epoch'] + 1} after {content['batches']} batches")
    return Position(content["epoch"], content["batches"], content["epoch_start"], content["now"])


def _newest(folder: str | os.PathLike, damaged: set[Path]) -> dict[str, Any] | None:
    """The newest file that can be read, None if there is none; a damaged one is said, noted and passed over."""
    for name in (NAME, PREVIOUS):
        path = Path(folder) / name
        if not path.is_file():
            continue
        try:
            return _checked(load_checkpoint(path), path)
        except CheckpointError as error:
            damaged.add(path)
            print(f"WARNING: {error} The one before it is used, if there is one.", file=sys.stderr)
    return None


def _checked(content: dict[str, Any], path: Path) -> dict[str, Any]:
    wrong = [name for name, kind in PARTS.items() if not isinstance(content.get(name), kind)]
    if wrong:
        raise CheckpointError(f"{path} is no position of a training: it lacks {', '.join(wrong)}, or has others there.")
    return content


def remove_positions(folder: str | os.PathLike) -> None:
    """Remove the files of a training that is done."""
    for name in (NAME, PREVIOUS):
        (Path(folder) / name).unlink(missing_ok=True)
