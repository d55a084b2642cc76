"""CLAP: A Closer Look at the Few-Shot Adaptation of Large Vision-Language Models (Silva-Rodriguez et al., CVPR 2024).

ZS-LP with a penalty on the distance between prototypes and text features. The penalty of a class is as strong as
zero-shot CLIP is right on its training images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dassl.engine import TRAINER_REGISTRY
from trainers.base.method import Losses, Term
from trainers.zs_lp import ZSLP, ZSLPMethod


class CLAPMethod(ZSLPMethod):
    """Prototypes P (C, E), which are learned, and the penalty's weights alpha (C,), which are fixed during training."""

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.register_buffer("alpha", torch.ones(len(task.classnames)))

    @torch.no_grad()
    def weigh(self, images: Tensor, labels: Tensor) -> None:
        """alpha_c: mean probability that zero-shot CLIP gives class c on the images of class c; 1 without any."""
        t = self.t / self.t.norm(dim=-1, keepdim=True)
        right = self.logits(images, t, torch.tensor(False)).softmax(dim=-1).gather(1, labels[:, None])[:, 0]
        counts = torch.bincount(labels, minlength=len(t))
        sums = torch.zeros_like(self.alpha).index_add(0, labels, right.to(self.alpha.dtype))
        self.alpha.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), 1.0))

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy + mean over classes of alpha_c |P_c - t_c|^2."""
        found = super().losses(images, labels)
        distances = (self.prototypes - self.t).square().sum(dim=-1)
        return Losses(found.terms | {"constraint": Term((self.alpha * distances).mean())}, found.logits)


@TRAINER_REGISTRY.register()
class CLAP(ZSLP):
    """Weighs the classes on the training images, then trains as ZS-LP."""

    method_class = CLAPMethod
    settings_node = "CLAP"

    def prepare(self, rows: Tensor, labels: Tensor) -> None:
        super().prepare(rows, labels)
        with self.precision.context():
            self.method.weigh(rows, labels)
