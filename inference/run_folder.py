"""Reader of a run's folder: settings, class names and learned parameters."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file as load_safetensors
from torch import Tensor
from yacs.config import CfgNode

import datasets  # noqa: F401  (registers the datasets)
import trainers  # noqa: F401  (registers the methods)
from dassl.config import ConfigError
from dassl.data.datasets import build_dataset
from dassl.engine import TRAINER_REGISTRY
from dassl.utils.checkpoint import BEST, about_run, check_finite, load_checkpoint, load_parameters, newest_checkpoint
from runs.protocol import find_backbone
from runs.record import COMPLETE, FILE_NAME, RECORD, load_record
from safeio.errors import MissingFile, UserError
from safeio.old_spellings import present_record
from safeio.read_back import read_back, read_json
from trainers.base.build import method_settings
from trainers.base.checkpoints import check_loaded, identity
from trainers.base.method import Method
from trainers.base.plugins import without_its_plugin
from trainers.base.run_settings import declared
from trainers.base.trainer import ClipTrainer

FIELDS: dict[str, Any] = {"method": str, "config": dict, "classes": (list, type(None))}
"""Fields that a record must have; those of older versions have no classes."""
HUB_CONFIG, HUB_WEIGHTS, HUB_LIBRARY = "config.json", "model.safetensors", "mmrl"
"""Files of a folder made for a model hub, and the name in its config that says so."""
SHOWN = 5
"""Number of folders that a message names."""


class RunError(UserError, ValueError):
    """A folder that cannot be used for prediction; the message says what is missing and what to give instead."""


@dataclass(frozen=True)
class TrainedRun:
    """A finished run, read from its folder.

    Attributes:
        folder: where it lies; record: the content of its run.json; cfg: its settings, not frozen.
        trainer: the class that trained it.
        classes: names of the classes it was trained on, in label order.
        source: its best checkpoint on validation data, or else the newest; None if there is none.
        state_dict: the learned parameters in it, by name; about: what it says of itself, empty in older files.
        notices: what the training noticed that bears on its results, by the record and the checkpoint.
    """

    folder: Path
    record: Mapping[str, Any]
    cfg: CfgNode
    trainer: type[ClipTrainer]
    classes: tuple[str, ...]
    source: Path | None
    state_dict: Mapping[str, Tensor]
    about: Mapping[str, Any]
    notices: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Return whether the run is complete."""
        return self.record.get("status") == COMPLETE

    @property
    def precision(self) -> str:
        """The name of the number types it was computed in."""
        return method_settings(self.cfg, self.trainer.settings_node).get("PREC", "fp32")

    def restore(self, method: Method) -> None:
        """Load the learned parameters into a method of the same kind.

        Raises:
            RunError: there is no checkpoint.
            trainers.base.checkpoints.CheckpointMismatch: it was learned on another backbone.
        """
        if not method.state_dict():  # zero-shot CLIP
            return
        if self.source is None:
            folder = self.folder / self.trainer.checkpoint_folder
            raise RunError(
                f"{self.folder} is a run of {self.record['method']} without a checkpoint: there is none in {folder}. "
                "A run that only tests keeps none, one that was cut short may have none yet: give the folder of the "
                "run that trained"
            )
        if self.about:
            own = identity(self.cfg, method.settings, method.clip, method.task.classnames)
            check_loaded(self.about, own, "unseen", True, str(self.source))  # whatever the classes
        load_parameters(method, self.state_dict, str(self.source))


def open_run(folder: str | os.PathLike, backbone: str | None = None) -> TrainedRun:
    """Read a run's folder.

    Args:
        backbone: name or weights file of the CLIP; that of the record by default.

    Raises:
        RunError: it is no run's folder, or its trainer is not one of this project.
        safeio.unpickle.CheckpointError: its checkpoint is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(_not_a_run(folder))
    record, of_hub = load_record(folder) if (folder / FILE_NAME).is_file() else None, False
    if record is None:
        record = read_hub_config(folder)
        of_hub = record is not None
    if record is None:
        raise RunError(_not_a_run(folder))
    if wrong := [key for key, kind in FIELDS.items() if not isinstance(record.get(key), kind)]:
        raise RunError(
            f"{folder / FILE_NAME} is no complete record of a run: {', '.join(wrong)} missing or of another type"
        )
    if lost := without_its_plugin(record):
        raise RunError(f"{folder} was {lost}")
    try:
        trainer = TRAINER_REGISTRY.get(record["method"])
        if not issubclass(trainer, ClipTrainer):
            raise RunError(
                f"{folder} was trained by {record['method']}, a plugin: only trainers made "
                "from ClipTrainer predict here"
            )
        builder = declared()
        builder.merge_dict(record["config"], str(folder / FILE_NAME))
    except ConfigError as error:
        raise RunError(f"{error}: the run is of another version of this project") from error
    except KeyError as error:
        raise RunError(f"{folder / FILE_NAME} is not the record of a run that can be read here: {error}") from error
    if backbone:
        builder.set("MODEL.BACKBONE.NAME", find_backbone(backbone), "command line")
    kept = folder / trainer.checkpoint_folder
    source = kept / BEST if (kept / BEST).is_file() else newest_checkpoint(kept)
    checkpoint: Mapping[str, Any]
    if of_hub:
        source = folder / HUB_WEIGHTS
        checkpoint = {"state_dict": read_hub_weights(source), "about": record.get("about")}
    else:
        checkpoint = load_checkpoint(source) if source else {"state_dict": {}}
    about = checkpoint.get("about") or {}
    classes = record.get("classes") or about.get("classes") or _classes_of_dataset(builder.cfg, folder)
    if not all(isinstance(name, str) for name in classes):
        raise RunError(f"{folder / FILE_NAME} is damaged: its classes are no names")
    learned = checkpoint.get("state_dict", {})
    check_finite(learned, str(source))
    notices = dict.fromkeys([*(record.get("notices") or ()), *(checkpoint.get("notices") or ())])
    return TrainedRun(folder, record, builder.cfg, trainer, tuple(classes), source, learned, about, tuple(notices))


def read_hub_config(folder: Path) -> dict[str, Any] | None:
    """Return the record in a folder made for a model hub; None where there is none."""
    try:
        content = read_json(folder / HUB_CONFIG, {**RECORD, "library_name?": str, "about?": about_run})
    except MissingFile:
        return None
    return present_record(content) if content.get("library_name") == HUB_LIBRARY else None


def read_hub_weights(file: Path) -> dict[str, Tensor]:
    """Return the learned parameters in a folder made for a model hub.

    Raises:
        safeio.read_back.DamagedFile, safeio.errors.MissingFile: they are damaged or missing.
    """
    return read_back(file, load_safetensors, "Copy the folder again.")


def _not_a_run(folder: Path) -> str:
    if not folder.is_dir():
        wanted = "give the folder that the training wrote, or one of `mmrl export --format hub-folder`"
        if folder.exists():
            return f"{folder} is a file, not a run's folder: {wanted}"
        return f"There is no folder {folder} (from {Path.cwd()}): {wanted}"
    below = sorted(file.parent for name in (FILE_NAME, HUB_WEIGHTS) for file in folder.rglob(name))
    hint = ""
    if below:
        more = f" and {len(below) - SHOWN} more" if len(below) > SHOWN else ""
        hint = ". Runs below it: " + ", ".join(map(str, below[:SHOWN])) + more
    return f"{folder} is not a run's folder: it has no {FILE_NAME}, which train.py writes{hint}"


def _classes_of_dataset(cfg: CfgNode, folder: Path) -> list[str]:
    """Return the class names of a run of an older version, whose record and checkpoint lack them."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return build_dataset(cfg).classnames
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"{folder / FILE_NAME} does not say which classes were trained on, and the dataset "
            f"{cfg.DATASET.NAME}, which would, cannot be read: {error}"
        ) from error
