"""Zero-shot CLIP (Radford et al., ICML 2021): one prompt per class, or an ensemble of prompts; nothing is learned."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dassl.engine import TRAINER_REGISTRY
from trainers._clip_trainer import ClipTrainer
from trainers._method import Method, unit
from trainers._templates import ensemble


class ZeroshotMethod(Method):
    """logits = exp(logit_scale) * cosine between the picture and each class prompt."""

    def templates(self) -> Sequence[str]:
        """The prompts whose features are averaged."""
        return [self.task.template]

    def class_features(self) -> Tensor:
        return self.clip.zero_shot_weights(self.task.classnames, self.templates())

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        f_0 = unit(self.clip.visual(self.clip.images(images)))  # (B, E)
        return self.clip.logit_scale * f_0 @ class_features.t()


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
