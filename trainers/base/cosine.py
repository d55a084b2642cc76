"""Base of most methods: logits are cosines of image and class features at CLIP's trained temperature."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from trainers.base.method import Losses, Method, Term, l2_normalize


class CosineMethod(Method):
    """logits = exp(logit_scale) * cosine; subclasses give `class_features` (C, E) and, if they learn, `losses`.

    Attributes:
        adapts_images: whether `image_features` are the method's own, and not frozen CLIP's.
    """

    adapts_images: bool = False
    on_frozen_features = True

    def adapted_features(self, images: Tensor) -> dict[str, Tensor]:
        return {"adapted": self.image_features(images)} if self.adapts_images else {}

    def image_features(self, images: Tensor) -> Tensor:
        """Normalized features (B, E) of images (B, 3, S, S)."""
        return l2_normalize(self.image_output(images))

    def class_features(self) -> Tensor:
        """Normalized features (C, E) of the classes."""
        return l2_normalize(self.class_output())

    def image_output(self, images: Tensor) -> Tensor:
        """Return the image encoder's output (B, E), of any length; the frozen one unless a method changes it."""
        return self.clip.image_output(images)

    def class_output(self) -> Tensor:
        """Return the text encoder's output (C, E), of any length, in methods that change it."""
        raise NotImplementedError(f"{type(self).__name__} must implement class_output()")

    def similarity(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        """(B, E), (C, E) -> (B, C)"""
        return self.clip.logit_scale * image_features @ class_features.t()

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        return self.losses_of(images, labels, self.image_features(images), self.class_features())

    def losses_of(self, images: Tensor, labels: Tensor, f: Tensor, w: Tensor) -> Losses:
        """Losses of a batch whose features f (B, E) and w (C, E) are computed: cross-entropy alone."""
        logits = self.similarity(f, w)
        return Losses({"xe": Term(F.cross_entropy(logits, labels))}, logits)

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        return self.similarity(self.image_features(images), class_features)
