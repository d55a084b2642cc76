"""Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification (Zhang et al., ECCV 2022).

The training images' features are the keys of a cache, their labels its values. A test image's affinities to the keys,
summed for each class, are added to zero-shot CLIP's logits. Nothing is trained; Tip-Adapter-F (`tip_adapter_f.py`)
trains the keys.

The sharpness beta and the residual ratio alpha are searched on the validation images. Where a dataset has none
(ImageNet), the published code searches on the test set; here the start values are kept, unless SELECT_ON test asks for
the published protocol.

Classes without images in the cache (TEST.CLASSES unseen) get zero-shot CLIP's logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from dassl.config import ConfigError
from dassl.config.validators import at_least, between, each, one_of
from dassl.engine import TRAINER_REGISTRY
from safeio.progress import print_line
from trainers.base.feature_trainer import FeatureMethod, FeatureTrainer
from trainers.base.method import Losses, Term, accuracy
from trainers.base.setting import OURS, Setting, precision
from trainers.base.templates import TEMPLATE
from trainers.base.training_free import TrainingFreeTrainer

LOGIT_SCALE = 100.0
"""Zero-shot logits are 100 * cosine; the trained temperature is not used."""
SMALLEST = 0.1
"""Start of both search grids."""
SCALE = between(0, 1000)._replace(ends=None)
"""Range of beta and alpha: exp(beta (affinity - 1)) bears no more where trained keys are longer than one."""


class TipAdapterMethod(FeatureMethod):
    """The cache: keys (N, E), normalized training features; labels (N,); beta and alpha. Nothing is learned."""

    trains_keys = False
    rules = ("zero-shot and cache", "zero-shot")
    tied = True  # by the labels in the cache

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.w_0 = self.zero_shot_features(settings.TEMPLATES)  # (C, E)
        keys = torch.zeros(0, clip.embed_dim)
        if self.trains_keys:
            self.keys = nn.Parameter(keys)
        else:
            self.register_buffer("keys", keys)
        self.register_buffer("labels", torch.zeros(0, dtype=torch.long))
        self.cached_classes = 0
        self.register_buffer("beta_alpha", torch.tensor([settings.INIT_BETA, settings.INIT_ALPHA], dtype=torch.double))

    def fill(self, keys: Tensor, labels: Tensor) -> None:
        """Take (N, E) and (N,) into the cache."""
        self.keys.data, self.labels = keys, labels
        self.cached_classes = int(labels.max()) + 1

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False):
        """Load a cache of any size; the published code's checkpoints hold none."""
        if {"keys", "labels"} <= state_dict.keys():
            keys, labels = (state_dict[name].to(self.keys.device) for name in ("keys", "labels"))
            self.fill(keys.clone(), labels.clone())
        return nn.Module.load_state_dict(self, state_dict, strict, assign)

    def class_features(self) -> Tensor:
        return self.w_0

    def found(self, affinity: Tensor, beta: float | Tensor) -> Tensor:
        """exp(-beta (1 - affinity)) summed over each class's keys: (B, N) -> (B, C)."""
        weights = torch.exp(-beta * (1 - affinity))
        return weights.new_zeros(weights.shape[0], len(self.w_0)).index_add(1, self.labels, weights)

    def cached_logits(self, f: Tensor, class_features: Tensor) -> Tensor:
        """Zero-shot logits + alpha * what the cache holds: (B, E), (C, E) -> (B, C)."""
        beta, alpha = self.beta_alpha.unbind()
        return LOGIT_SCALE * f @ class_features.t() + alpha * self.found(f @ self.keys.t(), beta)

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy."""
        logits = self.cached_logits(self.unit_features(images).float(), self.class_features())
        return Losses({"xe": Term(F.cross_entropy(logits, labels))}, logits)

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        """Seen classes: with the cache. Others: zero-shot CLIP."""
        f = self.unit_features(images).float()
        zero_shot = LOGIT_SCALE * f @ class_features.t()
        if self.cached_classes > len(class_features):  # these are other classes than the cache's
            return zero_shot
        return torch.where(seen, self.cached_logits(f, class_features), zero_shot)

    @torch.no_grad()
    def search(self, f: Tensor, labels: Tensor) -> tuple[float, float]:
        """Return the grid's beta and alpha with the best accuracy on features (n, E), labels (n,)."""
        grids = zip(self.settings.SEARCH_SCALE, self.settings.SEARCH_STEP, strict=True)
        betas, alphas = ([SMALLEST + i * (top - SMALLEST) / steps for i in range(steps)] for top, steps in grids)
        zero_shot, affinity = LOGIT_SCALE * f @ self.w_0.t(), f @ self.keys.t()
        best, chosen = 0.0, tuple(self.beta_alpha.tolist())
        for beta in betas:
            found = self.found(affinity, beta)
            if not found.isfinite().all():  # too sharp for trained keys that are longer than one
                continue
            for alpha in alphas:
                result = accuracy(zero_shot + alpha * found, labels).item()
                if result > best:
                    best, chosen = result, (beta, alpha)
        return chosen


class CacheTrainer(FeatureTrainer):
    """Fills the cache and searches beta and alpha, for Tip-Adapter and Tip-Adapter-F."""

    chooses = "its model"
    settings_source = "gaopengcuhk/Tip-Adapter configs/imagenet.yaml"
    defaults = {
        "SELECT_ON": Setting(
            "val",
            one_of("val", "test"),
            "images on which the method chooses; test: as published, which also chooses on test images",
            OURS,
        ),
        "INIT_BETA": Setting(1.0, SCALE, "sharpness of the affinity, where it is not searched", symbol="β"),
        "INIT_ALPHA": Setting(1.17, SCALE, "weight of the cache, where it is not searched", symbol="α"),
        "SEARCH_SCALE": Setting((7.0, 3.0), each(SCALE, 2), "upper ends of the search grids of beta and alpha"),
        "SEARCH_STEP": Setting((200, 20), each(at_least(1), 2), "number of values in these grids"),
        "AUGMENT_EPOCH": Setting(
            10, between(1, 10_000), "number of random crops of an image whose mean feature is its key"
        ),
        "TEMPLATES": Setting(
            (), each(TEMPLATE), "prompts; empty: the dataset's, on ImageNet an ensemble of seven", OURS
        ),
        "PREC": precision("fp32"),
    }

    def check_cfg(self, cfg: CfgNode) -> None:
        super().check_cfg(cfg)
        node = cfg.TRAINER[self.settings_node]
        if node.SELECT_ON not in ("val", "test"):
            raise ConfigError(f"TRAINER.{self.settings_node}.SELECT_ON is {node.SELECT_ON!r}; it must be val or test")

    def fill_cache(self) -> None:
        """Keys: mean over augmentations of the features as they are, then normalized."""
        rows = self.training_rows(range(self.settings.AUGMENT_EPOCH))
        mean = torch.stack([self.features_of(view) for view in rows]).mean(dim=0)
        self.method.fill(F.normalize(mean, dim=-1), self.training_labels)

    def search(self) -> None:
        """Set beta and alpha to the best values on the validation images (SELECT_ON)."""
        loader = self.val_loader or (self.test_loader if self.settings.SELECT_ON == "test" else None)
        if loader is None:
            print_line("There are no validation images: beta and alpha stay at their start values")
            return
        chosen = self.method.search(*self.judged_by(loader))
        self.method.beta_alpha.copy_(torch.tensor(chosen, dtype=torch.double))
        print_line(f"Chosen: beta {chosen[0]:.4g}, alpha {chosen[1]:.4g}")

    def judged_by(self, loader: Any) -> tuple[Tensor, Tensor]:
        """Return normalized features (n, E), float32, and labels (n,) of all images of a loader."""
        rows, labels = self.encoded(loader)
        return self.unit_features_of(rows), labels


@TRAINER_REGISTRY.register()
class TipAdapter(CacheTrainer, TrainingFreeTrainer):
    """Fills the cache, then searches; nothing is trained."""

    method_class = TipAdapterMethod
    settings_node = "TIPADAPTER"
    checkpoint_folder = "tip_adapter"

    def run_epoch(self) -> None:
        self.fill_cache()
        self.search()
