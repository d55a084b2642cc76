"""Positions within an epoch, saved to disk, from which an interrupted training continues.

One file holds all of it: every model with optimiser and schedule, the batches done, the random generators at
the start of the epoch and after the last step. A training that continues draws the epoch's batches again from the same
generators, skips those already trained on, and goes on as if it had not been interrupted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from dassl.utils.checkpoint import CHECKPOINT, NoneWhole, load_checkpoint, save_plain
from dassl.utils.environment import random_state
from safeio.errors import UserError
from safeio.read_back import DamagedFile, check_shape, newest_whole, number, reading
from safeio.unpickle import CheckpointError

if TYPE_CHECKING:
    from dassl.engine.base import TrainerBase

NAME, PREVIOUS = "resume.pth", "resume-previous.pth"
POSITION = {
    **dict.fromkeys(("epoch", "batches"), int),
    **dict.fromkeys(("epoch_start", "now"), dict),
    "models": {str: CHECKPOINT},
    "means?": {str: (number, int)},
    "workers?": int,
}
"""Shape of a position; those of older versions lack the last two."""


class OtherWorkers(UserError, ValueError):
    """A run would continue with another number of loader processes than it began with."""


class Position(NamedTuple):
    """Position of a training.

    Attributes:
        epoch: completed epochs; batches: those done of the next.
        epoch_start, now: the random generators at the start of that epoch and after the last step.
        means: losses of the batches done: name -> sum and count.
    """

    epoch: int
    batches: int
    epoch_start: dict[str, Any]
    now: dict[str, Any]
    means: Mapping[str, tuple[float, int]] = MappingProxyType({})


def save_position(
    trainer: TrainerBase,
    epoch: int,
    batches: int,
    epoch_start: dict[str, Any],
    means: Mapping[str, tuple[float, int]] = MappingProxyType({}),
) -> None:
    """Write where a training stands: `epoch` epochs done, `batches` batches of the next.

    The file before it is kept under another name until the next.

    Args:
        epoch_start: the random generators at the start of that epoch, as `random_state` gives them.
        means: what those batches gave: name -> sum and count.
    """
    content = {
        "epoch": epoch,
        "batches": batches,
        "models": {name: trainer.checkpoint_state(name, epoch) for name in trainer.get_model_names()},
        "epoch_start": epoch_start,
        "now": random_state(),
        "means": {name: pair for name, pair in means.items() if math.isfinite(pair[0])},
        "workers": trainer.cfg.DATALOADER.NUM_WORKERS,
    }
    path = Path(trainer.output_dir) / NAME
    if path.is_file() and path not in trainer.damaged:  # which must not push out the good one before it
        os.replace(path, path.with_name(PREVIOUS))
    save_plain(content, path)
    trainer.damaged.discard(path)


def resume(trainer: TrainerBase, folder: str | os.PathLike) -> tuple[int, Position | None]:
    """Restore a trainer from the newest checkpoints in a folder, or from a saved position after them.

    Returns:
        The completed epochs, and the position within the next, if it was cut short there.

    Raises:
        NoneWhole: no checkpoint can be read, and there is no position.
    """
    damaged = None
    try:
        completed = trainer.resume_model_if_exist(folder)
    except NoneWhole as error:
        completed, damaged = 0, error
    position = restore_position(trainer, folder, completed)
    if position is not None:
        return position.epoch, position
    if damaged is not None:
        raise damaged
    if not completed:
        print("Nothing to resume: training from scratch")
    return completed, None


def restore_position(trainer: TrainerBase, folder: str | os.PathLike, completed: int) -> Position | None:
    """Restore the saved position if it lies after `completed` epochs; return None if there is none."""
    content = _newest(folder, trainer.damaged)
    if content is None or content["epoch"] < completed or set(content["models"]) != set(trainer.get_model_names()):
        return None
    for name, state in content["models"].items():
        trainer.restore_state(name, state)
    trainer.workers_before = content.get("workers")
    print(f"Resumed in epoch {content['epoch'] + 1} after {content['batches']} batches")
    done = content["epoch"], content["batches"]
    return Position(*done, content["epoch_start"], content["now"], content.get("means") or {})


def _newest(folder: str | os.PathLike, damaged: set[Path]) -> dict[str, Any] | None:
    """Return the newest file that can be read, None if there is none; a damaged one gets a warning and is noted."""

    def read(path: Path) -> dict[str, Any]:
        try:
            content = load_checkpoint(path)
            with reading(str(path), "a position of a training", CheckpointError):
                check_shape(content, POSITION)
            return content
        except DamagedFile:
            damaged.add(path)
            raise

    found = newest_whole([Path(folder) / NAME, Path(folder) / PREVIOUS], read)
    return found and found[1]


def check_workers(trainer: TrainerBase, folder: str | os.PathLike) -> None:
    """Refuse to continue with another number of loader processes: each draws random numbers of its own.

    Raises:
        OtherWorkers: it began with another.
    """
    there, here = trainer.workers_before, trainer.cfg.DATALOADER.NUM_WORKERS
    if there is not None and there != here:
        raise OtherWorkers(
            f"The run in {folder} began with DATALOADER.NUM_WORKERS {there}, here it is {here}. Each loader process "
            f"draws its own random numbers, so going on would give neither run's result: give DATALOADER.NUM_WORKERS "
            f"{there}, or train anew in another OUTPUT_DIR (--output-dir)."
        )


def remove_positions(folder: str | os.PathLike) -> None:
    """Remove the files of a training that is done."""
    for name in (NAME, PREVIOUS):
        (Path(folder) / name).unlink(missing_ok=True)
