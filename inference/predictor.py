"""A trained run as a function from images to class names with probabilities.

predictor = Predictor.load("output/.../seed1")
for prediction in predictor.predict(["holiday/"]):
    print(prediction.path, prediction.classes[0], prediction.probabilities[0])
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dassl.data.transforms.transforms import build_transform
from dassl.utils.environment import device_of
from datasets.own.names import NAMES_FILE
from inference.classes import ClassesError, check_classes, check_labels, positions
from inference.evaluation import Evaluation
from inference.images import NoImagesError, Unreadable, batches
from inference.inputs import InputError, Source, check_numbers, checked_path, sources
from inference.labelled_images import class_folders
from inference.predictions import Prediction, Predictions
from inference.run_folder import HUB_WEIGHTS, TrainedRun, open_run
from runs.record import FILE_NAME
from safeio.atomic import atomic_write_json
from safeio.errors import MissingFile, NoNumber, UserError
from safeio.progress import progress
from trainers.base.build import build_clip, build_method, method_settings
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.plugins import load_plugins
from trainers.base.precision import Precision

FROZEN = "frozen CLIP"
"""Name of CLIP's own features in `Predictor.feature_sets`."""


class SaveError(UserError, OSError):
    """A folder that a model cannot be saved into."""


class FolderInUse(SaveError, FileExistsError):
    """A path that is a file, or a folder that holds something."""


class Predictor:
    """A method with its learned parameters, for a list of classes.

    Attributes:
        run: the run's folder, read.
        classes: names asked for; can be set to others. seen: for each whether the method was trained on it; rules: what
            scores it.
        method: the method, built for the names of its own list; precision: of the computation.
    """

    def __init__(self, run: TrainedRun, classes: Sequence[str] | None, clip: FrozenCLIP, precision: Precision):
        self.run, self.clip, self.precision = run, clip, precision
        with contextlib.redirect_stdout(io.StringIO()):  # it describes itself, for the log of a training
            self.transform: Callable[[Image.Image], Tensor] = build_transform(run.cfg, is_train=False)  # type: ignore
        self._choose(classes)

    def _choose(self, classes: Sequence[str] | None) -> None:
        """Build the method for these classes, the trained ones where None."""
        run, clip = self.run, self.clip
        names = run.classes if classes is None else check_classes(classes)
        kind, node = run.trainer.method_class, run.trainer.settings_node
        labels = list(range(len(run.classes))) if classes is None else positions(names, run.classes)
        new = [name for name, label in zip(names, labels, strict=True) if label is None]
        if kind.tied_to_classes(method_settings(run.cfg, node)):
            own = [*run.classes, *new]
            fresh = iter(range(len(run.classes), len(own)))
            columns = torch.tensor([next(fresh) if label is None else label for label in labels])
            own_seen = [True] * len(run.classes) + [False] * len(new)
        else:
            own, own_seen = list(names), [label is not None for label in labels]
            columns = torch.arange(len(own))
        method = build_method(run.cfg, kind, node, clip, self.precision, own)
        if new and not method.transfers:
            raise ClassesError(
                f"{run.record['method']} as trained in {run.folder} has parameters for each class and cannot predict "
                f"others: {', '.join(new[:5])}. Choose among its own: {', '.join(run.classes[:5])} ..."
            )
        run.restore(method)
        method.requires_grad_(False).eval()
        with torch.no_grad(), self.precision.context():
            self.class_features = method.class_features()
        self._classes, self.columns, self.method = names, columns, method
        self.seen = tuple(label is not None for label in labels)
        self.own_seen = torch.tensor(own_seen, device=clip.device)
        self.rules = tuple(method.rules[0 if seen else 1] for seen in self.seen)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names to choose among; set others to predict new classes."""
        return self._classes

    @classes.setter
    def classes(self, names: Sequence[str]) -> None:
        self._choose(names)

    def __repr__(self) -> str:
        named = ", ".join(self.classes[:3]) + (" ..." if len(self.classes) > 3 else "")
        return (
            f"<{self.run.record['method']} on {self.run.cfg.MODEL.BACKBONE.NAME}, {len(self.classes)} classes: {named}>"
        )

    @property
    def reduced(self) -> bool:
        """Return whether another number type than the run's is used on this device."""
        return self.precision.name != self.run.precision

    @classmethod
    def load(
        cls,
        run_dir: str | os.PathLike,
        classes: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        backbone: str | None = None,
        precision: str | None = None,
        plugins: str | os.PathLike | Sequence[str | Path] = (),
    ) -> Predictor:
        """Read a run's folder.

        Args:
            classes: names to choose among; those the method was trained on by default.
            device: a GPU if there is one by default. A run in float16 is computed in float32 on a CPU.
            backbone: name or weights file of the CLIP, if the run's own is not found at its recorded place.
            precision: PREC to compute in; the run's own by default.
            plugins: files and folders of the run's trainer, if it is a plugin (`train.py --plugins`).

        Raises:
            inference.run_folder.RunError: not a run's folder, or one without a checkpoint.
            inference.classes.ClassesError: no or doubled names, or new ones for a method that knows only its own.
        """
        folder = checked_path(run_dir, "run")
        listed: Sequence[Any] = plugins if isinstance(plugins, list | tuple) else [plugins]
        load_plugins([checked_path(plugin, "plugins") for plugin in listed])
        device = device_of(device)
        run = open_run(folder, backbone)
        name = precision or ("fp32" if run.precision == "fp16" and device.type == "cpu" else run.precision)
        held = Precision(name, device)
        return cls(run, classes, build_clip(run.cfg, held, device), held)

    def with_classes(self, classes: Sequence[str] | None) -> Predictor:
        """The same run for other class names; the CLIP is not loaded again."""
        return Predictor(self.run, classes, self.clip, self.precision)

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Logits (B, C) of the classes asked for, float32 on the CPU, from images (B, 3, S, S).

        Raises:
            NoNumber: some are NaN.
        """
        with self.precision.context():
            logits = self.method.logits(images.to(self.clip.device), self.class_features, self.own_seen)
        logits = logits.float().cpu()[:, self.columns]
        if logits.isnan().any():
            raise NoNumber(
                f"{self.run.folder} gives scores that are NaN: its training went wrong. Train anew, with a lower "
                f"OPTIM.LR or another precision (PREC) for example."
            )
        return logits

    @torch.no_grad()
    def feature_sets(self, images: Tensor) -> dict[str, np.ndarray]:
        """Return unit image features (B, E) by name: frozen CLIP's, then those that the method made of them.

        Args:
            images: (B, 3, S, S).
        """
        with self.precision.context():
            images = images.to(self.clip.device)
            found = {FROZEN: self.clip.image_features(images)} | self.method.adapted_features(images)
        return {name: features.float().cpu().numpy() for name, features in found.items()}

    def predict_images(self, images: Sequence[Image.Image], topk: int = 5) -> list[Prediction]:
        """Return the best classes of images in memory (RGB), as `predict` does for files."""
        scores = self.scores(torch.stack([self.transform(image) for image in images]))
        return [self._top(None, row, topk) for row in scores]

    def predict(self, inputs: Any, topk: int = 5, batch_size: int = 32) -> Predictions:
        """Return the best classes of images.

        Args:
            inputs: paths, folders, PIL images, arrays, tensors (`inference.inputs.sources`), one or many, or a
                generator of them.
            topk: how many classes each prediction names, best first.
            batch_size: images computed at once.

        Raises:
            UserError: nothing to predict, or nothing of it can be read. What cannot be read beside other images is
                listed in `unreadable` of what is returned.
        """
        check_numbers(topk=topk)
        found = Predictions()
        for items, scores, unreadable in self._in_batches(inputs, batch_size, self.scores):
            paths = (item if isinstance(item, Path) else None for item in items)
            found += [self._top(path, row, topk) for path, row in zip(paths, scores, strict=True)]
            found.unreadable += unreadable
        if not found:
            first = found.unreadable[0].why if found.unreadable else "the generator gave nothing"
            raise NoImagesError(f"Nothing could be predicted: {first}")
        return found

    def predict_proba(self, inputs: Any, batch_size: int = 32) -> np.ndarray:
        """Return probabilities (N, C), columns as in `classes`.

        Raises:
            UserError: an image cannot be read; every row has to be there.
        """
        return self._of_all(inputs, batch_size, lambda images: self.scores(images).softmax(dim=1).numpy())

    def embed(self, inputs: Any, batch_size: int = 32) -> np.ndarray:
        """Return unit image features (N, E): the method's, of the class token where it has several; else CLIP's.

        Raises:
            UserError: an image cannot be read.
        """

        def features(images: Tensor) -> np.ndarray:
            return list(self.feature_sets(images).values())[:2][-1]

        return self._of_all(inputs, batch_size, features)

    def evaluate(self, images: Any, labels: Sequence[str] | None = None, batch_size: int = 32) -> Evaluation:
        """Return how well images are classified.

        Args:
            images: a folder that `mmrl.fit` could train on, of which the test split is taken where it has one and
                otherwise every image; or images, with their `labels`.

        Raises:
            UserError: a class that is not in `classes`, or an image that cannot be read.
        """
        given: Iterable[Source]
        if labels is None:
            if not isinstance(images, str | os.PathLike):
                raise InputError("Images in memory need labels: evaluate(images, labels)")
            found = class_folders(Path(images), self.classes)
            given, names = [path for path, _ in found], [name for _, name in found]
            advice = f"Give the folder whose folders, or {NAMES_FILE}, name the model's classes, or images with labels"
        else:
            given, names = sources(images), check_labels(labels)
            advice = "Leave these images out"
        known = positions(names, self.classes)
        if strange := sorted({name for name, label in zip(names, known, strict=True) if label is None}):
            raise ClassesError(
                f"{', '.join(strange[:5])}: not among the model's classes ({', '.join(self.classes[:5])}, "
                f"{len(self.classes)} in all). {advice}; to predict new classes, set model.classes"
            )
        if isinstance(given, Sequence):
            _check_number(len(given), len(names))
        scores = self.predict_proba(given, batch_size)
        _check_number(len(scores), len(names))
        return Evaluation.of(np.array(known), scores.argmax(axis=1), self.classes)

    def save(self, folder: str | os.PathLike) -> Path:
        """Copy what `mmrl.load` needs into a folder, and return its path.

        Raises:
            FolderInUse: it is a file, or the folder holds something.
            SaveError: the folder cannot be written.
            MissingFile: this is a copy (of a pickle, for example) of a model whose temporary run is gone.
        """
        if self.run.source is not None and not self.run.source.is_file():
            raise MissingFile(f"{self.run.source} is gone: save the model while the one that was trained is in use")
        target = checked_path(folder, "folder")
        try:
            if target.exists() and not target.is_dir():
                raise FolderInUse(f"{target} is a file: choose a folder")
            if target.exists() and any(target.iterdir()):
                raise FolderInUse(f"{target} is not empty: choose another folder")
            return self._copy_to(target)
        except UserError:
            raise
        except OSError as error:
            raise SaveError(f"The model cannot be saved in {target}: {error.strerror or error}") from error

    def _copy_to(self, target: Path) -> Path:
        target.mkdir(parents=True, exist_ok=True)
        if self.run.source is not None and self.run.source.name == HUB_WEIGHTS:
            shutil.copytree(self.run.folder, target, dirs_exist_ok=True)
            return target
        if self.run.source is not None:
            (target / self.run.source.parent.name).mkdir()
            shutil.copyfile(self.run.source, target / self.run.source.parent.name / self.run.source.name)
        atomic_write_json(target / FILE_NAME, dict(self.run.record))  # last: it makes the folder a run
        return target

    def _in_batches(
        self, inputs: Any, batch_size: int, compute: Callable[[Tensor], Any]
    ) -> Iterator[tuple[list[Source], Any, list[Unreadable]]]:
        """Yield what was read, what was computed of it, and what could not be read."""
        check_numbers(batch_size=batch_size)
        given = sources(inputs)
        with progress(given, "images", total=len(given) if isinstance(given, Sequence) else None) as bar:
            for items, images, unreadable in batches(given, self.transform, batch_size):
                yield items, () if images is None else compute(images), unreadable
                bar.update(len(items) + len(unreadable))

    def _of_all(self, inputs: Any, batch_size: int, compute: Callable[[Tensor], np.ndarray]) -> np.ndarray:
        """Return what is computed of all images, (N, ...); refuse unreadable ones, and none at all."""
        parts = []
        for items, computed, unreadable in self._in_batches(inputs, batch_size, compute):
            if unreadable:
                raise NoImagesError(f"{unreadable[0].why}; every image is needed here")
            if items:
                parts.append(computed)
        if not parts:
            raise NoImagesError("There is nothing to predict: the generator gave nothing")
        return np.concatenate(parts)

    def _top(self, path: Path | None, scores: Tensor, topk: int) -> Prediction:
        """The best of one image's scores (C,)."""
        best = scores.softmax(dim=0).topk(min(topk, len(scores)))
        chosen = best.indices.tolist()
        names, rules = ([of[i] for i in chosen] for of in (self.classes, self.rules))
        return Prediction(path, tuple(names), tuple(best.values.tolist()), tuple(rules))


def _check_number(images: int, labels: int) -> None:
    if images != labels:
        raise InputError(f"There are {images} images and {labels} labels; each image needs one")
