"""TaskRes: Task Residual for Tuning Vision-Language Models (Yu et al., CVPR 2023).

Each class's text feature gets a learned residual; both encoders stay as they are. The text features may come from an
enhanced base: a text projection that somebody trained before, read from a file.

As in the published code, the features are not made unit before the residual is added, and underscores in class names stay.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dassl.engine import TRAINER_REGISTRY
from trainers.base.trainer import ClipTrainer
from trainers.base.cosine import CosineMethod
from trainers.base.method import l2_normalize
from trainers.base.templates import ensemble


class TaskResMethod(CosineMethod):
    """The residuals x (C, E), zero at the start."""

    transfers = False
    published_names = (("residuals", "prompt_learner.text_feature_residuals"),)

    @classmethod
    def tied_to_classes(cls, settings) -> bool:
        return True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.prompts = clip.prompts(task.classnames, task.template, spaces=False)
        self.t = self.base_features()  # (C, E), of any length
        self.residuals = nn.Parameter(torch.zeros_like(self.t, dtype=torch.float32))

    @torch.no_grad()
    def base_features(self) -> Tensor:
        """t (C, E): mean over templates of text features that are not made unit; on ImageNet there are eight."""
        clip, task = self.clip, self.task
        others = ensemble("seven") if task.dataset == "ImageNet" else []
        prompts = [*(clip.prompts(task.classnames, template, spaces=False) for template in others), self.prompts]
        with enhanced(clip, self.settings.ENHANCED_BASE):
            return torch.stack([clip.text.encode(batch) for batch in prompts]).mean(dim=0)

    def class_features(self) -> Tensor:
        """l2_normalize(t + RESIDUAL_SCALE * x), (C, E)."""
        return l2_normalize(self.t + self.settings.RESIDUAL_SCALE * self.residuals)
