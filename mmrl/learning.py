"""Train on your own images, load what was trained, classify without training."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

import train
from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from dassl.data.few_shot import sample_few_shot
from dassl.engine import TRAINER_REGISTRY
from dassl.utils.environment import device_of
from inference.classes import check_classes
from inference.evaluation import Evaluation
from inference.inputs import sources
from inference.predictor import Prediction, Predictions, Predictor
from inference.zero_shot import zero_shot_model
from runs.protocol import PlannedRun, choose, config_for, methods, plan
from safeio.errors import UserError
from safeio.read_back import read_json

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
LISTING = "labels.json"
ARGUMENTS = {
    "OUTPUT_DIR": "output", "SEED": "seed", "DATASET.NUM_SHOTS": "shots", "OPTIM.MAX_EPOCH": "epochs",
    "MODEL.BACKBONE.NAME": "backbone", "TRAINER.NAME": "method",
}  # fmt: skip
"""Settings that are arguments of `fit`."""
ERROR = re.compile(r"^(?:[\w. ]+: )?error: (.+)", re.MULTILINE | re.DOTALL)
"""Message of a command that fails, in one line or several."""


class FitError(UserError, RuntimeError):
    """A training that could not be done; the message is train.py's."""


@DATASET_REGISTRY.register()
class LabelledImages(DatasetBase):
    """Images that were given in memory: files below DATASET.ROOT, listed with their labels."""

    def __init__(self, cfg: CfgNode):
        folder = Path(cfg.DATASET.ROOT)
        listed = read_json(folder / LISTING, {"classes": [str], "files": [(str, int)]})
        items = [Datum(folder / file, label, 0, listed["classes"][label]) for file, label in listed["files"]]
        chosen = items
        if cfg.DATASET.NUM_SHOTS > 0:
            chosen = sample_few_shot(items, cfg.DATASET.NUM_SHOTS, random.Random(max(0, cfg.SEED)))
        super().__init__(train_x=chosen, test=items)


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
        images: a folder with a folder of images for each class; or images (paths, PIL images, arrays, tensors).
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
        verbose: print the log.

    Raises:
        UserError: no such method, images that cannot be read, settings that do not fit, or the training failed.
    """
    name = choose("method", str(method), methods())
    _check_arguments(shots, output, settings)
    folder = Path(output or tempfile.mkdtemp(prefix="mmrl-"))
    extra: dict[str, Any] = {}
    if labels is None:
        if not isinstance(images, str | os.PathLike):
            raise FitError("Images in memory need labels: mmrl.fit(images, labels)")
        if not Path(images).is_dir():
            raise FitError(f"There is no folder {images}; expected one with a folder of images for each class")
        root = str(images)
    else:
        root = str(_written(images, labels, folder / "images"))
        extra |= {"DATASET.NAME": "LabelledImages", "TEST.NO_TEST": True}
    run, fitting = _run_of(name, backbone or BACKBONE, shots, seed, device)
    extra = {**fitting, **extra}
    words = [*run.arguments(folder, root, []), "--output-dir", str(folder)]
    words += ["--backbone", backbone] if backbone else []
    words += ["--device", device] if device else []
    words += ["--train-epoch", str(epochs)] if epochs is not None else []
    for key, value in {**extra, **(settings or {})}.items():
        words += [key, str(value)]
    _train(words, verbose)
    model = load(folder, device=device)
    if output is None:
        weakref.finalize(model, _remove, folder, os.getpid())
    return model


def _remove(folder: Path, process: int) -> None:
    """Remove a temporary run whose model is gone, in the process that made it and in no fork of it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _check_arguments(shots: int | None, output: str | os.PathLike | None, settings: Mapping[str, Any] | None) -> None:
    if output is not None and os.path.lexists(output) and not Path(output).is_dir():
        raise FitError(f"{output} is no folder: the run needs one")
    if not isinstance(settings or {}, Mapping) or not all(isinstance(key, str) for key in settings or {}):
        raise FitError(f'settings is {settings!r:.80}; expected keys with values, such as {{"OPTIM.LR": 0.002}}')
    if taken := sorted(set(settings or {}) & ARGUMENTS.keys()):
        raise FitError(f"{taken[0]} is given by an argument, not in settings: fit(..., {ARGUMENTS[taken[0]]}=...)")
    if shots is not None and not isinstance(shots, int):
        raise FitError(f"shots is {shots!r}; expected a whole number, or None for all images")


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


def _written(images: Any, labels: Sequence[str], folder: Path) -> Path:
    """Write images with their labels as files, and return the folder."""
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise FitError(f"labels is {labels!r:.80}; expected a class name for each image")
    if strange := [label for label in labels if label is None or label != label]:  # NaN, of a table with gaps
        raise FitError(f"Every image needs a label; {len(strange)} of {len(labels)} are missing")
    labels = [str(label) for label in labels]
    found = list(sources(images))
    if len(found) != len(labels):
        raise FitError(f"There are {len(found)} images and {len(labels)} labels; each image needs one")
    names = sorted(set(labels))
    check_classes(names, "the labels")
    if len(names) < 2:
        raise FitError(f"All images are of the class {names[0]!r}: there must be two classes or more")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index, (source, label) in enumerate(zip(found, labels, strict=True)):
        if isinstance(source, Path):
            files.append((str(source.absolute()), names.index(label)))
        else:
            source.save(folder / f"{index}.png")
            files.append((f"{index}.png", names.index(label)))
    (folder / LISTING).write_text(json.dumps({"classes": names, "files": files}), encoding="utf-8")
    return folder


def _train(words: Sequence[str], verbose: bool) -> None:
    """Run train.py's command line here.

    Raises:
        FitError: it failed; the message is what it said.
    """
    console, errors = (sys.stdout if verbose else io.StringIO()), io.StringIO()
    with contextlib.redirect_stdout(console), contextlib.redirect_stderr(errors):
        try:
            status = train.main(words)
        except SystemExit as end:
            status = int(end.code or 0)
    if status:
        said = ERROR.search(errors.getvalue())
        raise FitError(said[1].strip() if said else f"training ended with status {status}")


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

    Args:
        images, topk, batch_size: as in `Predictor.predict`.
        names, backbone, options: as in `zero_shot_model`.

    Raises:
        UserError: nothing can be read, or names that cannot be used.
    """
    return zero_shot_model(names, backbone, **options).predict(images, topk, batch_size)
