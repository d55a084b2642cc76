"""ProLIP: Fine-Tuning CLIP's Last Visual Projector (Fahes et al., 2024).

Only the image encoder's last projection is trained, held to where it started; what it reads is computed once. The
same projection serves classes it was trained on and others. Written from the paper and from observed numbers; the
published code has no licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.vision import VisionTransformer
from dassl.config.validators import NUMBER, at_least
from dassl.engine import TRAINER_REGISTRY
from trainers.base.feature_trainer import FeatureMethod, FeatureTrainer
from trainers.base.method import Losses, Term, l2_normalize
from trainers.base.setting import Setting, precision

LOGIT_SCALE = 100.0
"""Logits are 100 * cosine; the trained temperature is not used."""
VIEWS_AT_ONCE = 20
"""Number of views that are read ahead."""


class ProLIPMethod(FeatureMethod):
    """The projection P: (D, E) of a transformer; of a ResNet (E, D), whose shift stays as it is."""

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.t = self.zero_shot_features()  # (C, E)
        self.projection = nn.Parameter(clip.visual.projection.detach().float().clone())
        self.weight = max(settings.LAMBDA, 0.0)

    def published_name(self, name: str) -> str:
        return "vit_proj" if isinstance(self.clip.visual, VisionTransformer) else "linear.weight"

    def features(self, images: Tensor) -> Tensor:
        """x P of the rows x (B, D)."""
        weight = self.projection
        return self.clip.visual.project(self.pooled(images).to(weight.dtype), weight)

    def adapted_features(self, images: Tensor) -> dict[str, Tensor]:
        return {"adapted": l2_normalize(self.features(images))}

    def class_features(self) -> Tensor:
        return self.t

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        f = l2_normalize(self.features(images))
        return LOGIT_SCALE * f @ class_features.to(f.dtype).t()

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy + lambda |P - P_0|^2, a sum over all entries."""
        logits = self.logits(images, self.t, torch.tensor(True))
        moved = (self.projection - self.clip.visual.projection.to(self.projection.dtype)).square().sum()
        return Losses({"xe": Term(F.cross_entropy(logits, labels)), "mse": Term(moved, self.weight)}, logits)


@TRAINER_REGISTRY.register()
class ProLIP(FeatureTrainer):
    """Full-batch epochs, each on the next of AUG_VIEWS augmented views."""

    method_class = ProLIPMethod
    settings_node = "PROLIP"
    settings_source = "astra-vision/ProLIP configs/base.yaml"
    checkpoint_folder = "prolip"
    defaults = {
        "LAMBDA": Setting(
            -1.0, NUMBER, "weight of staying close to the start; negative: one over the images of each class"
        ),
        "AUG_VIEWS": Setting(300, at_least(1), "augmented views of each training image"),
        "PREC": precision("fp32"),
    }

    def before_train(self) -> None:
        if self.settings.LAMBDA < 0:
            self.method.weight = self.num_classes / len(self.training_labels)
        self.ahead: tuple[range, Tensor] = range(0), torch.empty(0)
        super().before_train()

    def epoch_batches(self) -> tuple[int, Iterator[dict[str, Any]]]:
        """Epoch e (from 0) has view e + 1; the first view comes last."""
        return 1, iter([{"img": self.view((self.epoch + 1) % self.settings.AUG_VIEWS), "label": self.training_labels}])

    def view(self, number: int) -> Tensor:
        """Rows (N, D) of all training images under a view."""
        if number not in self.ahead[0]:
            views = range(number, min(number + VIEWS_AT_ONCE, self.settings.AUG_VIEWS))
            self.ahead = views, self.training_rows(views)
        views, rows = self.ahead
        return rows[views.index(number)]
