"""Base of methods on frozen image features: images or cached rows as input, and epochs over features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from yacs.config import CfgNode

from dassl.config import ConfigError
from dassl.data.crop_cache import evaluation_wrapper
from dassl.data.transforms.transforms import build_transform
from trainers.base.feature_cache import View
from trainers.base.method import Losses, Method, Term, l2_normalize
from trainers.base.templates import ensemble
from trainers.base.trainer import ClipTrainer


class FeatureMethod(Method):
    """A method on frozen image features.

    Wherever it takes images (B, 3, S, S), it also takes rows (B, D), the inputs of the encoder's last projection.
    """

    def pooled(self, images: Tensor) -> Tensor:
        """Rows (B, D) of images, or the rows themselves."""
        return images if images.ndim == 2 else self.clip.pool(images)

    def features(self, images: Tensor) -> Tensor:
        """Image features (B, E) as CLIP gives them, of any length."""
        return self.clip.image_output(images)

    def unit_features(self, images: Tensor) -> Tensor:
        """The same, of length one."""
        return l2_normalize(self.features(images))

    def zero_shot_features(self, templates: Sequence[str] = ()) -> Tensor:
        """Return normalized text features (C, E), float32, of these templates.

        Without templates, the dataset's own is used, on ImageNet an ensemble of seven, as published.
        """
        task = self.task
        templates = list(templates) or (ensemble("seven") if task.dataset == "ImageNet" else [task.template])
        return self.clip.zero_shot_weights(task.classnames, templates).float()

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy of the logits alone."""
        logits = self.logits(images, self.class_features(), torch.tensor(True))
        return Losses({"xe": Term(F.cross_entropy(logits, labels))}, logits)


class FeatureTrainer(ClipTrainer):
    """Trains and tests on cached rows; each epoch's batches come from `epoch_batches`.

    Attributes:
        chooses: what the method chooses on validation images itself; TEST.FINAL_MODEL is then ignored. Empty: nothing.
    """

    chooses: str = ""
    tests_rows = True

    def check_cfg(self, cfg: CfgNode) -> None:
        super().check_cfg(cfg)
        if self.chooses and cfg.TEST.FINAL_MODEL != "last_step":
            raise ConfigError(f"{cfg.TRAINER.NAME} chooses {self.chooses} itself: leave TEST.FINAL_MODEL at last_step")

    @cached_property
    def training_labels(self) -> Tensor:
        """(N,), of the training images in their order."""
        return torch.tensor([datum.label for datum in self.dm.dataset.train_x], device=self.device)

    def training_rows(self, views: Sequence[View]) -> Tensor:
        """Rows (V, N, D) of the training images; view None is the test transform, others are augmentations."""
        if tuple(views) != (None,):
            return self.cache.rows(self.train_loader_x.dataset, views)
        plain = evaluation_wrapper(self.cfg, self.dm.dataset.train_x, build_transform(self.cfg, is_train=False))
        return self.cache.rows(plain)

    @torch.no_grad()
    def encoded(self, loader: Any) -> tuple[Tensor, Tensor]:
        """Rows (n, D) and labels (n,) of all images of a loader, in its order."""
        with self.precision.context():
            batches = map(self.parse_batch_test, loader)
            seen = [(self.method.pooled(images).float(), labels) for images, labels in batches]
        rows, labels = zip(*seen, strict=True)
        return torch.cat(rows), torch.cat(labels)

    @torch.no_grad()
    def features_of(self, rows: Tensor) -> Tensor:
        """(n, D) -> (n, E), float32."""
        with self.precision.context():
            return self.method.features(rows).float()

    @torch.no_grad()
    def unit_features_of(self, rows: Tensor) -> Tensor:
        """(n, D) -> (n, E), float32, normalized."""
        with self.precision.context():
            return self.method.unit_features(rows).float()

    def epoch_batches(self) -> tuple[int, Iterator[dict[str, Any]]]:
        """Return the number of batches of the epoch, and an iterator over them."""
        raise NotImplementedError(f"{type(self).__name__} must implement epoch_batches()")

    def shuffled_batches(self, view: View) -> tuple[int, Iterator[dict[str, Any]]]:
        """A view of all training images in random order, in the loader's batches."""
        size, count = self.cfg.DATALOADER.TRAIN_X.BATCH_SIZE, len(self.train_loader_x)

        def batches() -> Iterator[dict[str, Any]]:
            rows, order = self.training_rows((view,))[0], torch.randperm(len(self.training_labels))
            for own in order.to(self.device).split(size)[:count]:
                yield {"img": rows[own], "label": self.training_labels[own]}

        return count, batches()

    def run_epoch(self) -> None:
        count, batches = self.epoch_batches()
        self.run_batches(((batch,) for batch in batches), count)

    def _keep_decoded_images(self) -> None:
        """Images are decoded only for rows that are not cached."""
