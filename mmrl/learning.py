"""Train on your own images, load what was trained, classify without training."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dassl.engine import TRAINER_REGISTRY
from dassl.utils.environment import device_of
from inference.evaluation import Evaluation
from inference.predictor import Prediction, Predictions, Predictor
from inference.zero_shot import zero_shot_model
from mmrl.images_in_memory import FOLDER, LISTING, write_images
from mmrl.training import ARGUMENTS, FitError, train_here
from runs.protocol import PlannedRun, choose, config_for, methods, plan
from runs.record import FILE_NAME
from safeio.errors import UserError

__all__ = [
    "Evaluation",
    "Prediction",
    "Predictions",
    "Predictor",
    "UserError",
    "fit",
    "load",
    "zero_shot",
    "zero_shot_model",
]

BACKBONE = "ViT-B/16"
"""The CLIP where none is named: the papers'."""


def fit(
    images: Any,
    labels: Sequence[str] | None = None,
    method: str = "MMRL",
    shots: int | None = 16,
    backbone: str | None = None,
    epochs: int | None = None,
    seed: int = 1,
    output: str | os.PathLike | None = None,
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    verbose: bool = False,
) -> Predictor:
    """Train a method on your own images and return the model.

    Args:
        images: a folder with a folder of images for each class, or a list of images with labels (docs/your-data.md); or
            images (paths, PIL images, arrays, tensors).
        labels: a class name for each of the images; not for a folder.
        method: in any spelling, `mmrl.methods()` lists them.
        shots: training images of each class; None takes all. Of a folder, some images are kept for testing, and the
            result is in `model.run.record["metrics"]`; of images with labels, all may be trained on and none is tested.
        backbone: a CLIP by name or the path of its weights; ViT-B/16 by default, whose weights are fetched once. The
            small ones inside the package (`mmrl list backbones`) need no network.
        epochs: instead of the method's own number.
        seed: of every random choice.
        output: folder of the run; by default a temporary one, which goes with the model: `model.save(folder)` keeps it.
        device: cpu or cuda; a GPU if there is one by default.
        settings: any keys of the configuration, such as {"OPTIM.LR": 0.002}.
        verbose: print the whole log. Without it only the training's warnings are shown, as Python warnings.

    Raises:
        UserError: no such method, images that cannot be read, settings that do not fit, or the training failed.
        KeyboardInterrupt: it was interrupted; with `output`, the same call continues it.
    """
    name = choose("method", str(method), methods())
    _check_arguments(shots, epochs, output, settings)
    folder = Path(output or tempfile.mkdtemp(prefix="mmrl-"))
    try:
        root = _existing(images) if labels is None else write_images(images, labels, folder)
        extra = {} if labels is None else {"DATASET.NAME": "LabelledImages", "TEST.NO_TEST": True}
        run, fitting = _run_of(name, backbone or BACKBONE, shots, seed, device)
        words = [*run.arguments(folder, str(root), []), "--output-dir", str(folder)]
        words += ["--backbone", backbone] if backbone else []
        words += ["--device", device] if device else []
        words += ["--train-epoch", str(epochs)] if epochs is not None else []
        for key, value in {**fitting, **extra, **(settings or {})}.items():
            words += [key, str(value)]
        train_here(words, settings or (), verbose)
        model = load(folder, device=device)
    except BaseException:
        if output is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if output is None:
        weakref.finalize(model, _remove, folder, os.getpid())
    return model


def _existing(images: Any) -> Path:
    """Return the path of images in class folders, or of a list of images."""
    if not isinstance(images, str | os.PathLike):
        raise FitError("Images in memory need labels: mmrl.fit(images, labels)")
    if not Path(images).exists():
        raise FitError(f"There is no folder {images}; expected one with a folder of images for each class")
    return Path(images)


def _remove(folder: Path, process: int) -> None:
    """Remove a temporary run whose model is gone, in the process that made it and in no fork of it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _check_arguments(
    shots: int | None, epochs: int | None, output: str | os.PathLike | None, settings: Mapping[str, Any] | None
) -> None:
    if output is not None and os.path.lexists(output):
        _check_output(Path(output))
    if not isinstance(settings or {}, Mapping) or not all(isinstance(key, str) for key in settings or {}):
        raise FitError(f'settings is {settings!r:.80}; expected keys with values, such as {{"OPTIM.LR": 0.002}}')
    if taken := sorted(set(settings or {}) & ARGUMENTS.keys()):
        raise FitError(f"{taken[0]} is given by an argument, not in settings: fit(..., {ARGUMENTS[taken[0]]}=...)")
    if shots is not None and (not isinstance(shots, int) or shots == 0):
        raise FitError(f"shots is {shots!r}; expected a whole number above 0, or None for all images")
    if epochs is not None and not isinstance(epochs, int):
        raise FitError(f"epochs is {epochs!r}; expected a whole number, or None for the method's own")


def _check_output(folder: Path) -> None:
    """Refuse a file, and a folder that has files but no run."""
    if not folder.is_dir():
        raise FitError(f"{folder} is no folder: the run needs one")
    own = {FOLDER} if (folder / FOLDER / LISTING).is_file() else set()
    others = sorted(name for name in {*os.listdir(folder)} - own if not name.startswith("."))
    if others and FILE_NAME not in others:
        raise FitError(f"{folder} holds other files ({others[0]}) and no run: give output= a folder of its own")


def _run_of(
    method: str, backbone: str, shots: int | None, seed: int, device: str | None
) -> tuple[PlannedRun, dict[str, Any]]:
    """Return the few-shot run whose configs fit the backbone, and settings for images of the user's own."""
    (run,) = plan("few_shot", "train", method, "folder", [seed], [-1 if shots is None else shots], config_for(backbone))
    on_cpu = device_of(device).type == "cpu"
    settings = {
        "DATASET.NAME": "Folder",
        "DATASET.NUM_SHOTS": -1 if shots is None else shots,
        "DATASET.SUBSAMPLE_CLASSES": "all",
    }
    settings |= {"PROTOCOL": "", "STAGE": ""}
    trainer = TRAINER_REGISTRY.get(method)
    if on_cpu and "PREC" in getattr(trainer, "defaults", {}):
        settings[f"TRAINER.{trainer.settings_node}.PREC"] = "fp32"
    return run, settings


def load(
    run: str | os.PathLike,
    classes: Sequence[str] | None = None,
    device: str | None = None,
    backbone: str | None = None,
    plugins: str | os.PathLike | Sequence[str | Path] = (),
) -> Predictor:
    """Return the model that a run left.

    Args:
        run: folder of the run that trained.
        classes: names to choose among; the run's own by default.
        device: cpu or cuda; a GPU if there is one by default.
        backbone: name or weights file of the CLIP, if it is not where the run found it.
        plugins: files and folders of the method, if it is one of your own (`mmrl train --plugins`).

    Raises:
        UserError: no run's folder, or one without a checkpoint; or class names that cannot be used.
    """
    return Predictor.load(run, classes, device, backbone, plugins=plugins)


def zero_shot(
    images: Any, names: Sequence[str], backbone: str | None = None, topk: int = 5, batch_size: int = 32, **options: Any
) -> Predictions:
    """Classify images with CLIP as it is.

    Images, topk and batch_size are those of `Predictor.predict`; names, backbone and options of `zero_shot_model`.

    Raises:
        UserError: nothing can be read, or names that cannot be used.
    """
    return zero_shot_model(names, backbone, **options).predict(images, topk, batch_size)
