"""A trained run as a function from images to class names with probabilities.

predictor = Predictor.load("output/.../seed1")
for prediction in predictor.predict(["holiday/"]):
    print(prediction.path, prediction.classes[0], prediction.probabilities[0])
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dassl.data.transforms.transforms import build_transform
from dassl.utils.progress import progress
from inference.classes import ClassesError, check_classes, positions
from inference.images import Unreadable, batches, find_images
from inference.run_folder import TrainedRun, open_run
from trainers.base.build import build_clip, build_method, method_settings
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.precision import Precision


@dataclass(frozen=True)
class Prediction:
    """What a image shows: the best classes, best first.

    Attributes:
        path: the file; classes, probabilities: the top k, the latter a share of all classes asked for.
        rules: name of the rule that scored each of them.
    """

    path: Path | None
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    rules: tuple[str, ...]


class Predictions(list[Prediction]):
    """A prediction for each readable image, in the order given; `unreadable` lists the others."""

    def __init__(self, found: Iterable[Prediction] = (), unreadable: Iterable[Unreadable] = ()):
        super().__init__(found)
        self.unreadable = list(unreadable)


class Predictor:
    """A method with what it learned, for some classes.

    Attributes:
        run: the run's folder, read.
        classes: names asked for; seen: for each whether the method was trained on it; rules: what scores it.
        method: the method, built for the names of its own list; precision: of the computation.
    """

    def __init__(self, run: TrainedRun, classes: Sequence[str] | None, clip: FrozenCLIP, precision: Precision):
        self.run, self.clip, self.precision = run, clip, precision
        self.classes = run.classes if classes is None else check_classes(classes)
        kind, node = run.trainer.method_class, run.trainer.settings_node
        labels = list(range(len(run.classes))) if classes is None else positions(self.classes, run.classes)
        new = [name for name, label in zip(self.classes, labels, strict=True) if label is None]
        if kind.tied_to_classes(method_settings(run.cfg, node)):
            own = [*run.classes, *new]
            fresh = iter(range(len(run.classes), len(own)))
            self.columns = torch.tensor([next(fresh) if label is None else label for label in labels])
            own_seen = [True] * len(run.classes) + [False] * len(new)
        else:
            own, own_seen = list(self.classes), [label is not None for label in labels]
            self.columns = torch.arange(len(own))
        self.seen = tuple(label is not None for label in labels)
        self.own_seen = torch.tensor(own_seen, device=clip.device)
        self.method = build_method(run.cfg, kind, node, clip, precision, own)
        if new and not self.method.transfers:
            raise ClassesError(
                f"{run.record['method']} as trained in {run.folder} learns something for each class and cannot predict "
                f"others: {', '.join(new[:5])}. Ask for some of its own: {', '.join(run.classes[:5])} ..."
            )
        run.restore(self.method)
        self.method.requires_grad_(False).eval()
        self.rules = tuple(self.method.rules[0 if seen else 1] for seen in self.seen)
        with contextlib.redirect_stdout(io.StringIO()):  # it describes itself, for the log of a training
            self.transform: Callable[[Image.Image], Tensor] = build_transform(run.cfg, is_train=False)  # type: ignore
        with torch.no_grad(), precision.context():
            self.class_features = self.method.class_features()

    @property
    def reduced(self) -> bool:
        """Whether the run's own number type is not available on this device."""
        return self.precision.name != self.run.precision

    @classmethod
    def load(
        cls,
        run_dir: str | os.PathLike,
        classes: Sequence[str] | None = None,
        device: str | torch.device | None = None,
        backbone: str | None = None,
        precision: str | None = None,
    ) -> Predictor:
        """Read a run's folder.

        Args:
            classes: names to choose among; those the method was trained on by default.
            device: a GPU if there is one by default. A run in float16 is computed in float32 on a CPU.
            backbone: name or weights file of the CLIP, if it is not where the run found it.
            precision: PREC, if it is not to be the run's.

        Raises:
            inference.run_folder.RunError: not a run's folder, or one without a checkpoint.
            inference.classes.ClassesError: no or doubled names, or new ones for a method that knows only its own.
        """
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        run = open_run(run_dir, backbone)
        name = precision or ("fp32" if run.precision == "fp16" and device.type == "cpu" else run.precision)
        held = Precision(name, device)
        return cls(run, classes, build_clip(run.cfg, held, device), held)

    def with_classes(self, classes: Sequence[str] | None) -> Predictor:
        """The same run for other class names; the CLIP is not loaded again."""
        return Predictor(self.run, classes, self.clip, self.precision)

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Logits (B, C) of the classes asked for, float32 on the CPU, from images (B, 3, S, S)."""
        with self.precision.context():
            logits = self.method.logits(images.to(self.clip.device), self.class_features, self.own_seen)
        return logits.float().cpu()[:, self.columns]

    def predict_images(self, images: Sequence[Image.Image], topk: int = 5) -> list[Prediction]:
        """As `predict`, from images in memory (RGB)."""
        scores = self.scores(torch.stack([self.transform(image) for image in images]))
        return [self._top(None, row, topk) for row in scores]

    def predict(
        self,
        paths: str | os.PathLike | Iterable[str | os.PathLike],
        topk: int = 5,
        batch_size: int = 32,
    ) -> Predictions:
        """Predict files, and the images below folders.

        Args:
            topk: how many classes each prediction names, best first.
            batch_size: images computed at once.

        Raises:
            inference.images.NoImagesError: there is nothing to predict.
        """
        if topk < 1 or batch_size < 1:
            raise ValueError(f"topk is {topk} and batch_size {batch_size}; both must be 1 or more")
        files = find_images([paths] if isinstance(paths, str | os.PathLike) else paths)
        found = Predictions()
        with progress(files, "images") as bar:
            for readable, images, unreadable in batches(files, self.transform, batch_size):
                if images is not None:
                    scores = self.scores(images)
                    found += [self._top(path, row, topk) for path, row in zip(readable, scores, strict=True)]
                found.unreadable += unreadable
                bar.update(len(readable) + len(unreadable))
        return found

    def _top(self, path: Path | None, scores: Tensor, topk: int) -> Prediction:
        """The best of one image's scores (C,)."""
        best = scores.softmax(dim=0).topk(min(topk, len(scores)))
        chosen = best.indices.tolist()
        names, rules = ([of[i] for i in chosen] for of in (self.classes, self.rules))
        return Prediction(path, tuple(names), tuple(best.values.tolist()), tuple(rules))
