"""Zero-shot CLIP (Radford et al., ICML 2021): one prompt per class, or an ensemble of prompts; nothing is learned."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.templates import ensemble
from trainers.base.trainer import ClipTrainer


class ZeroshotMethod(CosineMethod):
    """logits = exp(logit_scale) * cosine between the image and each class prompt."""

    def templates(self) -> Sequence[str]:
        """The prompts whose features are averaged."""
        return [self.task.template]

    def class_features(self) -> Tensor:
        return self.clip.zero_shot_weights(self.task.classnames, self.templates())


class ZeroshotEnsembleMethod(ZeroshotMethod):
    """Seven general prompts and, except on ImageNet itself, the dataset's own."""

    def templates(self) -> Sequence[str]:
        own = [] if self.task.dataset == "ImageNet" else [self.task.template]
        return [*ensemble("seven"), *own]


@TRAINER_REGISTRY.register()
class ZeroshotCLIP(ClipTrainer):
    """CLIP as it is, one prompt per class."""

    method_class = ZeroshotMethod


@TRAINER_REGISTRY.register()
class ZeroshotCLIP2(ClipTrainer):
    """CLIP as it is, an ensemble of prompts."""

    method_class = ZeroshotEnsembleMethod
