"""ProLIP: CLIP's Visual Embedding Projector is a Few-shot Cornucopia (Fahes et al., WACV 2026).

Only the image encoder's last projection is trained, with a penalty on its distance to the pretrained one; its inputs
are computed once. Seen and unseen classes use the same projection. Learning rate and penalty are fixed, or searched on
validation images (SEARCH). Written from the paper and from observed numbers; the published code has no licence.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.vision import VisionTransformer
from dassl.config.validators import NUMBER, between
from dassl.engine import TRAINER_REGISTRY
from dassl.optim import build_lr_scheduler, build_optimizer
from safeio.progress import print_line
from trainers.base.feature_trainer import FeatureMethod, FeatureTrainer
from trainers.base.method import Losses, Term, accuracy, l2_normalize
from trainers.base.setting import Setting, precision

LOGIT_SCALE = 100.0
"""Logits are 100 * cosine; the trained temperature is not used."""
VIEWS_AT_ONCE = 20
"""Number of views that are read ahead."""
RATES = tuple(10.0**-k for k in range(2, 9))
WEIGHTS = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001, 0.0)
"""The grid of SEARCH: OPTIM.LR and LAMBDA."""


class ProLIPMethod(FeatureMethod):
    """The projection P, (D, E) in a vision transformer, (E, D) in a ResNet, whose bias stays frozen."""

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.t = self.zero_shot_features()  # (C, E)
        self.projection = nn.Parameter(clip.visual.projection.detach().float().clone())
        self.weight = max(settings.LAMBDA, 0.0)

    def published_name(self, name: str) -> str:
        return "vit_proj" if isinstance(self.clip.visual, VisionTransformer) else "linear.weight"

    def features(self, images: Tensor) -> Tensor:
        """x P of the rows x (B, D)."""
        return self.projected(images, self.projection)

    def projected(self, images: Tensor, projection: Tensor) -> Tensor:
        """Return image features (B, E) of the rows (B, D) with another projection in place of P."""
        return self.clip.visual.project(self.pooled(images).to(projection.dtype), projection)

    def adapted_features(self, images: Tensor) -> dict[str, Tensor]:
        return {"adapted": l2_normalize(self.features(images))}

    def class_features(self) -> Tensor:
        return self.t

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        return self.similarity(self.features(images), class_features)

    def similarity(self, features: Tensor, class_features: Tensor) -> Tensor:
        """100 * cosine: (B, E) of any length, (C, E) -> (B, C)"""
        f = l2_normalize(features)
        return LOGIT_SCALE * f @ class_features.to(f.dtype).t()

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        return self.losses_of(images, labels, self.projection, self.weight)

    def losses_of(self, images: Tensor, labels: Tensor, projection: Tensor, weight: float) -> Losses:
        """Cross-entropy + weight |P - P_0|^2, a sum over all entries, of a projection P."""
        logits = self.similarity(self.projected(images, projection), self.t)
        moved = (projection - self.clip.visual.projection.to(projection.dtype)).square().sum()
        return Losses({"xe": Term(F.cross_entropy(logits, labels)), "mse": Term(moved, weight)}, logits)


@TRAINER_REGISTRY.register()
class ProLIP(FeatureTrainer):
    """Full-batch epochs, each on the next of AUG_VIEWS augmented views."""

    method_class = ProLIPMethod
    settings_node = "PROLIP"
    settings_source = "astra-vision/ProLIP configs/base.yaml"
    checkpoint_folder = "prolip"
    defaults = {
        "LAMBDA": Setting(
            -1.0,
            NUMBER,
            "weight of the squared distance to the pretrained projection; negative: 1 / shots",
            symbol="λ",
        ),
        "AUG_VIEWS": Setting(300, between(1, 10_000), "number of augmented views of each training image"),
        "SEARCH": Setting(
            False,
            meaning="whether to search OPTIM.LR and LAMBDA on validation images",
            source="astra-vision/ProLIP configs/experiments/few_shot_few_val.yaml",
        ),
        "PREC": precision("fp32"),
    }

    def before_train(self) -> None:
        if self.settings.LAMBDA < 0:
            self.method.weight = self.num_classes / len(self.training_labels)
        self.ahead: tuple[range, Tensor] = range(0), torch.empty(0)
        if self.settings.SEARCH and self.val_loader is None:
            print_line("There are no validation images: OPTIM.LR and LAMBDA stay as they are given")
        elif self.settings.SEARCH:
            rate, self.method.weight = self.search()
            print_line(f"Chosen: OPTIM.LR {rate:g}, LAMBDA {self.method.weight:g}")
            self.optim.param_groups[0]["lr"], self.sched.base_lrs = rate, [rate]
        super().before_train()  # last, because it may restore an earlier run

    def search(self) -> tuple[float, float]:
        """Return the grid's learning rate and penalty with the best accuracy on validation images; of equals the first.

        Each pair trains a projection as the run will. All are trained side by side, so that each view is read once.
        """
        trials, method = [], self.method
        for rate, weight in product(RATES, WEIGHTS):
            projection = nn.Parameter(method.projection.detach().clone())
            optim = build_optimizer(method, self.cfg.OPTIM, [{"params": [projection], "lr": rate}])
            trials.append((rate, weight, projection, optim, build_lr_scheduler(optim, self.cfg.OPTIM)))
        rows, labels = self.encoded(self.val_loader)
        with self.precision.context():
            for epoch in range(self.max_epoch):
                view = self.view_of(epoch)
                for _, weight, projection, optim, sched in trials:
                    optim.zero_grad()
                    method.losses_of(view, self.training_labels, projection, weight).total().backward()
                    optim.step()
                    sched.step()
            with torch.no_grad():
                scores = [method.similarity(method.projected(rows, trial[2]), method.t) for trial in trials]
        results = [accuracy(logits, labels).item() for logits in scores]
        return trials[results.index(max(results))][:2]

    def epoch_batches(self) -> tuple[int, Iterator[dict[str, Any]]]:
        return 1, iter([{"img": self.view_of(self.epoch), "label": self.training_labels}])

    def view_of(self, epoch: int) -> Tensor:
        """Rows (N, D) of an epoch e (from 0), view e + 1; the first view comes last."""
        return self.view((epoch + 1) % self.settings.AUG_VIEWS)

    def view(self, number: int) -> Tensor:
        """Rows (N, D) of all training images under a view."""
        if number not in self.ahead[0]:
            views = range(number, min(number + VIEWS_AT_ONCE, self.settings.AUG_VIEWS))
            self.ahead = views, self.training_rows(views)
        views, rows = self.ahead
        return rows[views.index(number)]
