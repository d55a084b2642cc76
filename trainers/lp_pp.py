"""LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP (Huang et al., CVPR 2024).

A linear classifier on frozen image features, plus the text features' similarities with a factor for each class. Step
sizes follow from bounds of the loss's curvature (Lipschitz constants of its gradient) on the training features, so
there is no rate to search. Written from the paper and from observed numbers; the published code has no licence.

The tested epoch is the best on validation images; without any, it is the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dassl.config.validators import at_least
from dassl.engine import TRAINER_REGISTRY
from safeio.progress import print_line
from trainers.base.epoch_choice import EpochChoice
from trainers.base.feature_trainer import FeatureMethod
from trainers.base.method import Losses, accuracy
from trainers.base.setting import Setting, precision

START_FACTOR = 250.0
"""Start of the class factors, as a multiple of the training images' mean similarity to their own class."""


class LPppMethod(FeatureMethod):
    """W (C, E) and b (C,), the classifier; alpha (1, C), the factors of the similarities.

    `alpha_gradient` is the sum of alpha's gradients over all epochs so far: the published code never clears it.
    """

    transfers = False
    tied = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        classes = len(task.classnames)
        self.t = self.zero_shot_features()  # (C, E)
        self.classifier = nn.Linear(clip.embed_dim, classes)
        self.alpha_vec = nn.Parameter(torch.zeros(1, classes))
        self.register_buffer("alpha_gradient", torch.zeros(1, classes))

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """The factors have steps of their own (`LPpp.step_alpha`)."""
        return [{"params": list(self.classifier.parameters())}, {"params": [self.alpha_vec], "lr": 0.0}]

    @torch.no_grad()
    def start(self, f: Tensor, labels: Tensor) -> tuple[float, float]:
        """Set classifier and factors to their start values from training features f (N, E) and labels (N,).

        Returns:
            The step sizes of W and b, 4 N / lambda_max(f^T f), and of alpha, N / (4 max_c sum_n (f t)_nc^2).
        """
        similarity, count = f @ self.t.t(), len(f)
        self.classifier.weight.copy_(torch.zeros_like(self.t).index_add(0, labels, f))  # sums, not means, as published
        own = similarity.gather(1, labels[:, None])[:, 0]
        sums = own.new_zeros(len(self.t)).index_add(0, labels, own)
        counts = torch.bincount(labels, minlength=len(self.t))
        self.alpha_vec.fill_(START_FACTOR * (sums / counts.clamp(min=1))[counts > 0].mean())
        largest = torch.linalg.eigvalsh(f.t() @ f)[-1]
        return (4 * count / largest).item(), (count / (4 * similarity.square().sum(dim=0).max())).item()

    def class_features(self) -> Tensor:
        """W + alpha t, (C, E): one matrix, because both are linear in the image feature."""
        return self.classifier.weight + self.alpha_vec.t() * self.t

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        """f W^T + b + alpha (f t), with no temperature."""
        return F.linear(self.unit_features(images).to(class_features.dtype), class_features, self.classifier.bias)


@TRAINER_REGISTRY.register()
class LPpp(EpochChoice):
    """Full-batch epochs on one augmented view of each image."""

    method_class = LPppMethod
    settings_node = "LPPP"
    settings_source = "FereshteShakeri/FewShot-CLIP-Strong-Baseline configs/base.yaml"
    checkpoint_folder = "lp_pp"
    chooses = "its epoch"
    last_of_equals = True
    defaults = {
        "ALPHA_EVERY": Setting(10, at_least(1), "number of epochs between two steps of the class factors"),
        "PREC": precision("fp32"),
    }

    def before_train(self) -> None:
        rows = self.training_rows((0,))[0]
        self.batch = {"img": rows, "label": self.training_labels}
        lr, self.alpha_lr = self.method.start(self.unit_features_of(rows), self.training_labels)
        print_line(f"Step sizes: {lr:.4g} of the classifier, {self.alpha_lr:.4g} of the class factors")
        self.optim.param_groups[0]["lr"] = lr
        self.sched.base_lrs = [lr, 0.0]
        self.judge = self.val_loader and self.encoded(self.val_loader)
        super().before_train()  # last: what an earlier run had reached replaces the start

    def epoch_batches(self) -> tuple[int, Iterator[dict[str, Any]]]:
        return 1, iter([self.batch])

    def backward_and_step(self, losses: Losses) -> None:
        super().backward_and_step(losses)
        self.step_alpha()

    @torch.no_grad()
    def step_alpha(self) -> None:
        """alpha - step size * the gradient summed over all epochs so far, after every tenth epoch (ALPHA_EVERY)"""
        method = self.method
        method.alpha_gradient += method.alpha_vec.grad
        if (self.epoch + 1) % self.settings.ALPHA_EVERY == 0:
            method.alpha_vec -= self.alpha_lr * method.alpha_gradient

    def judged(self) -> float | None:
        """Return the accuracy on the validation images."""
        if self.judge is None:
            return None
        rows, labels = self.judge
        with self.precision.context():
            logits = self.method.logits(rows, self.method.class_features(), torch.tensor(True))
        return accuracy(logits, labels).item()
