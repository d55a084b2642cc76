"""GDA-CLIP: A Hard-to-Beat Baseline for Training-free CLIP-based Adaptation (Wang et al., ICLR 2024).

Gaussian discriminant analysis: each class is a Gaussian of image features, all with one covariance, so the classifier
has a closed form. Its logits are added to zero-shot CLIP's with a weight alpha, chosen on validation images of the
trained classes. Classes without images get their Gaussian from the training features nearest to their text feature.
Written from the paper and from observed numbers; the published code has no licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dassl.config.validators import between, each, one_of
from dassl.engine import TRAINER_REGISTRY
from safeio.progress import print_line
from trainers.base.feature_trainer import FeatureMethod
from trainers.base.method import accuracy
from trainers.base.setting import OURS, Setting, precision
from trainers.base.templates import TEMPLATE
from trainers.base.training_free import TrainingFreeTrainer

LOGIT_SCALE = 100.0
"""Zero-shot logits are 100 * cosine; the trained temperature is not used."""
NEAREST, TEXT_COPIES = 64, 16
"""Numbers of training features and of copies of its text feature that make the Gaussian of a class without images."""
ALPHAS = tuple(10.0**k for k in range(-4, 3))
START_ALPHA = 0.1


class Classifier(NamedTuple):
    """Logits f W + b."""

    weight: Tensor  # (E, C)
    bias: Tensor  # (C,)

    def __call__(self, f: Tensor) -> Tensor:
        return f @ self.weight + self.bias


def shrunk_inverse(s: Tensor, count: int) -> Tensor:
    """E * pinv((count - 1) S + trace(S) I), the empirical Bayes estimate of the inverse of S (E, E)."""
    width = len(s)
    return width * torch.linalg.pinv((count - 1) * s + s.trace() * torch.eye(width, device=s.device))


def discriminant(means: Tensor, inverse: Tensor) -> Classifier:
    """Equal priors: W = S^-1 mu, b = log(1 / C) - mu^T S^-1 mu / 2, of means (C, E)."""
    weight = inverse @ means.t()
    prior = -torch.tensor(float(len(means)), device=means.device).log()
    return Classifier(weight, prior - (means.t() * weight).sum(dim=0) / 2)


def class_means(f: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(C, E)."""
    return torch.stack([f[labels == c].mean(dim=0) for c in range(classes)])


def covariance(f: Tensor) -> Tensor:
    """Return the covariance (E, E) of features (n, E); that of a single one is zero."""
    return f.t().cov() if len(f) > 1 else f.new_zeros(f.shape[1], f.shape[1])


def of_trained(f: Tensor, labels: Tensor, classes: int, pooled: bool) -> Classifier:
    """Fit the Gaussians to normalized features f (n, E) with labels.

    Args:
        pooled: use one shrunk covariance of all features about their class means; else the mean of the classes' own.
    """
    means = class_means(f, labels, classes)
    if pooled:
        return discriminant(means, shrunk_inverse(covariance(f - means[labels]), len(f)))
    covariances = torch.stack([covariance(f[labels == c]) for c in range(classes)])
    return discriminant(means, torch.linalg.pinv(covariances.mean(dim=0)))


def of_others(f: Tensor, w: Tensor) -> tuple[Classifier, Tensor, Tensor]:
    """Fit Gaussians of classes without images, from training features f (n, E) and text features w (C, E).

    Returns:
        The classifier, its means (C, E) and its inverse covariance (E, E), a mean over these classes.
    """
    count = min(NEAREST, len(f))
    near = f[(w @ f.t()).topk(count, dim=1).indices]  # (C, k, E)
    means = (near.sum(dim=1) + TEXT_COPIES * w) / (count + TEXT_COPIES)
    spread = near - w[:, None]
    covariances = spread.transpose(1, 2) @ spread / max(count - 1, 1)
    inverse = torch.stack([shrunk_inverse(one, count) for one in covariances]).mean(dim=0)
    return discriminant(means, inverse), means, inverse


class GDACLIPMethod(FeatureMethod):
    """Stored training features f (n, E), their labels (n,), and alpha; nothing is trained by gradient steps."""

    rules = ("zero-shot and Gaussians of images", "zero-shot and Gaussians around texts")
    tied = True  # by the labels of the features

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.t = self.zero_shot_features(settings.TEMPLATES)  # (C, E)
        self.register_buffer("f", torch.zeros(0, clip.embed_dim))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.long))
        self.register_buffer("alpha", torch.tensor(START_ALPHA, dtype=torch.double))
        self.trained: Classifier | None = None

    def fill(self, f: Tensor, labels: Tensor) -> None:
        """Take normalized features (n, E) with labels (n,), and solve for the classes that have any."""
        self.f, self.labels, self.present = f, labels, labels.unique()
        numbers = torch.searchsorted(self.present, labels)
        self.trained = of_trained(f, numbers, len(self.present), self.settings.MODE == "few_shot")

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False):
        """Load features of any number."""
        if {"f", "labels"} <= state_dict.keys() and len(state_dict["labels"]):
            self.fill(*(state_dict[name].to(self.f.device).clone() for name in ("f", "labels")))
        return nn.Module.load_state_dict(self, state_dict, strict, assign)

    def class_features(self) -> Tensor:
        """Matrices (2, C, E + 1), the shift in the last column, because all logits are linear in f: of trained classes,
        others perhaps after them, and of others alone."""
        zero_shot = torch.cat([LOGIT_SCALE * self.t.t(), self.t.new_zeros(1, len(self.t))]).t()
        if self.trained is None:
            return zero_shot.expand(2, -1, -1)
        return zero_shot + torch.stack([self.added(self.gaussians()), self.added(of_others(self.f, self.t)[0])])

    def gaussians(self) -> Classifier:
        """Return the classifier of all classes: of images where there are any, around texts for the others."""
        here = self.present[self.present < len(self.t)]
        without = torch.ones(len(self.t), dtype=torch.bool, device=here.device).index_fill(0, here, False)
        weight, bias = torch.zeros_like(self.t.t()), self.t.new_zeros(len(self.t))
        weight[:, here], bias[here] = self.trained.weight[:, : len(here)], self.trained.bias[: len(here)]
        if without.any():
            weight[:, without], bias[without] = of_others(self.f, self.t[without])[0]
        return Classifier(weight, bias)

    def added(self, found: Classifier) -> Tensor:
        """alpha (W, b) as rows (C, E + 1)."""
        return self.alpha.to(self.t.dtype) * torch.cat([found.weight, found.bias[None]]).t()

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        """100 f t + alpha (f W + b).

        Args:
            seen: one for all classes: False means that they are others alone; or (C,): trained ones, and others after.
        """
        f = self.unit_features(images).to(class_features.dtype)
        mixed, alone = (f @ matrix[:, :-1].t() + matrix[:, -1] for matrix in class_features)
        return mixed if seen.ndim else torch.where(seen, mixed, alone)

    @torch.no_grad()
    def search(self, f: Tensor, labels: Tensor) -> float:
        """Return the alpha of the grid with the best accuracy on features (n, E), labels (n,); of equals the first."""
        zero_shot, added = LOGIT_SCALE * f @ self.t.t(), self.gaussians()(f)
        best, chosen = 0.0, START_ALPHA
        for alpha in ALPHAS:
            result = accuracy(zero_shot + alpha * added, labels).item()
            if result > best:
                best, chosen = result, alpha
        return chosen


@TRAINER_REGISTRY.register()
class GDACLIP(TrainingFreeTrainer):
    """Keeps features of AUGMENT_EPOCH views of each image, solves, searches alpha."""

    method_class = GDACLIPMethod
    settings_node = "GDACLIP"
    settings_source = "mrflogs/ICLR24 configs/few_shots"
    checkpoint_folder = "gda_clip"
    chooses = "alpha"
    defaults = {
        "MODE": Setting(
            "few_shot",
            one_of("few_shot", "base2new"),
            "estimate of the covariance; few_shot: pooled and shrunk, base2new: the plain mean of the classes'",
            "mrflogs/ICLR24 configs/few_shots, configs/base2new",
        ),
        "AUGMENT_EPOCH": Setting(10, between(1, 10_000), "number of augmented views of each training image"),
        "TEMPLATES": Setting(
            (), each(TEMPLATE), "prompts; empty: the dataset's, on ImageNet an ensemble of seven", OURS
        ),
        "PREC": precision("fp32"),
    }

    @torch.no_grad()
    def run_epoch(self) -> None:
        rows = self.training_rows(range(self.settings.AUGMENT_EPOCH))
        self.method.fill(self.unit_features_of(rows.flatten(0, 1)), self.training_labels.repeat(len(rows)))
        if self.val_loader is None:
            print_line(f"There are no validation images: alpha stays at {START_ALPHA}")
            return
        val, labels = self.encoded(self.val_loader)
        self.method.alpha.fill_(self.method.search(self.unit_features_of(val), labels))
        print_line(f"Chosen: alpha {self.method.alpha.item():.4g}")
