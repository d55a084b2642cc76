"""What most methods share: logits are the cosines of image and class features, at CLIP's trained temperature."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from trainers.base.method import Losses, Method, Term


class CosineMethod(Method):
    """logits = exp(logit_scale) * cosine; subclasses give `class_features` (C, E) and, if they learn, `losses`."""

    def image_features(self, images: Tensor) -> Tensor:
        """Normalized features (B, E) of images (B, 3, S, S); the frozen ones unless a method changes them."""
        return self.clip.image_features(images)

    def similarity(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        """(B, E), (C, E) -> (B, C)"""
        return self.clip.logit_scale * image_features @ class_features.t()

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy alone."""
        logits = self.similarity(self.image_features(images), self.class_features())
        return Losses({"xe": Term(F.cross_entropy(logits, labels))}, logits)

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        return self.similarity(self.image_features(images), class_features)
