"""ZS-LP: a linear probe that starts from the class prompts (Silva-Rodriguez et al., CVPR 2024; their baseline of CLAP).

One prototype for each class is trained on frozen features of augmented training images, which are computed once. The
method uses no validation images. As in the published code, underscores in class names are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from dassl.config.validators import between
from dassl.engine import TRAINER_REGISTRY
from trainers.base.feature_trainer import FeatureMethod, FeatureTrainer
from trainers.base.method import l2_normalize
from trainers.base.setting import Setting, precision


class ZSLPMethod(FeatureMethod):
    """The prototypes P (C, E); they start at t, the text features as the encoder gives them."""

    transfers = False
    published_names = (("prototypes", "adapter.prototypes"),)
    tied = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.prompts = clip.prompts(task.classnames, task.template, spaces=False)
        with torch.no_grad():
            self.t = clip.text.encode(self.prompts).float()  # (C, E)
        self.prototypes = nn.Parameter(self.t.clone())

    def class_features(self) -> Tensor:
        return l2_normalize(self.prototypes)

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        """exp(logit_scale) * cosine of image and prototype."""
        f = self.unit_features(images).to(class_features.dtype)
        return self.clip.logit_scale * f @ class_features.t()


@TRAINER_REGISTRY.register()
class ZSLP(FeatureTrainer):
    """Trains on AUGMENT_EPOCH views of each image; an epoch draws as many views at random as there are images."""

    method_class = ZSLPMethod
    settings_node = "ZSLP"
    settings_source = "jusiro/CLAP trainers/adapters.py"
    checkpoint_folder = "adapter"
    defaults = {
        "AUGMENT_EPOCH": Setting(20, between(1, 10_000), "number of augmented views of each training image"),
        "PREC": precision("fp32"),
    }

    def before_train(self) -> None:
        self.prepare(*self.all_views())
        super().before_train()  # last, because it may restore the random generators of an earlier run

    def all_views(self) -> tuple[Tensor, Tensor]:
        """Rows (V N, D) and labels (V N,) of all views, view by view."""
        rows = self.training_rows(range(self.settings.AUGMENT_EPOCH))
        return rows.flatten(0, 1), self.training_labels.repeat(len(rows))

    def prepare(self, rows: Tensor, labels: Tensor) -> None:
        self.rows, self.labels = rows, labels

    def order(self) -> Tensor:
        """A random order of all views, (V N,)."""
        return torch.randperm(len(self.labels))

    def epoch_batches(self) -> tuple[int, Iterator[dict[str, Any]]]:
        """Return as many batches as the loader has of the images themselves, from a new random order of all views."""
        size, count = self.cfg.DATALOADER.TRAIN_X.BATCH_SIZE, len(self.train_loader_x)

        def batches() -> Iterator[dict[str, Any]]:
            for own in self.order().to(self.device).split(size)[:count]:
                yield {"img": self.rows[own], "label": self.labels[own]}

        return count, batches()
