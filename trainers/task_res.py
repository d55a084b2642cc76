"""TaskRes: Task Residual for Tuning Vision-Language Models (Yu et al., CVPR 2023).

Each class's text feature gets a learned residual; both encoders stay frozen. The text features may come from an
enhanced base, a text projection that was trained before and is read from a file.

As in the published code, the residual is added to features that are not normalized, and underscores in class names
are kept.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from clip.substitute import with_weights
from dassl.config import ConfigError
from dassl.config.validators import NUMBER
from dassl.engine import TRAINER_REGISTRY
from dassl.utils.checkpoint import load_checkpoint
from trainers.base.cosine import CosineMethod
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.setting import Setting, precision
from trainers.base.templates import ensemble
from trainers.base.trainer import ClipTrainer


class TaskResMethod(CosineMethod):
    """The residuals x (C, E), zero at the start."""

    transfers = False
    published_names = (("residuals", "prompt_learner.text_feature_residuals"),)
    tied = True
    on_frozen_features = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.prompts = clip.prompts(task.classnames, task.template, spaces=False)
        self.t = self.base_features()  # (C, E), of any length
        self.residuals = nn.Parameter(torch.zeros_like(self.t, dtype=torch.float32))

    @torch.no_grad()
    def base_features(self) -> Tensor:
        """Return t (C, E), the mean over templates of text features that are not normalized (ImageNet: eight)."""
        clip, task = self.clip, self.task
        others = ensemble("seven") if task.dataset == "ImageNet" else []
        prompts = [*(clip.prompts(task.classnames, template, spaces=False) for template in others), self.prompts]
        with with_weights(clip.model, enhanced_base(self.settings.ENHANCED_BASE, clip)):
            return torch.stack([clip.text.encode(batch) for batch in prompts]).mean(dim=0)

    def image_output(self, images: Tensor) -> Tensor:
        return super().image_output(images).to(self.residuals.dtype)

    def class_output(self) -> Tensor:
        """t + RESIDUAL_SCALE * x, (C, E)."""
        return self.t + self.settings.RESIDUAL_SCALE * self.residuals


def enhanced_base(file: str, clip: FrozenCLIP) -> dict[str, Tensor]:
    """Read the text projection (D, E) of a checkpoint; return it by its name in CLIP, and nothing for "none".

    The published file holds it transposed, as `weight` (E, D). The published code reads it in half precision only and
    silently uses CLIP's own otherwise; here it is read in every precision.

    Raises:
        dassl.config.ConfigError: there is no such file, or it holds no projection of this CLIP.
    """
    if file in ("", "none"):
        return {}
    own, key = clip.model.text_projection, "TRAINER.TaskRes.ENHANCED_BASE"
    if not Path(file).expanduser().is_file():
        raise ConfigError(f"{key} names {file}, which is not a file; 'none' is the regular base")
    weight = load_checkpoint(Path(file).expanduser()).get("weight")
    if not isinstance(weight, Tensor) or weight.t().shape != own.shape:
        shape = tuple(own.t().shape)
        raise ConfigError(f"{key} names {file}, which holds no `weight` of shape {shape}, this backbone's projection")
    return {"text_projection": weight.t().to(own)}


@TRAINER_REGISTRY.register()
class TaskRes(ClipTrainer):
    """Trains TaskRes with the engine's optimiser and schedule."""

    method_class = TaskResMethod
    settings_node = "TaskRes"
    settings_source = "geekyutao/TaskRes train_regular.sh"
    checkpoint_folder = "prompt_learner"
    defaults = {
        "RESIDUAL_SCALE": Setting(0.5, NUMBER, "factor on the learned residual", search="0.1..2.0", symbol="α"),
        "ENHANCED_BASE": Setting("none", meaning="checkpoint of an enhanced base; none: CLIP's own projection"),
        "PREC": precision("fp32"),
    }
