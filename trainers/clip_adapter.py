"""CLIP-Adapter: Better Vision-Language Models with Feature Adapters (Gao et al., IJCV 2024).

A two-layer bottleneck after the frozen image encoder; its output is mixed into the image feature. The text features
stay zero-shot CLIP's, as in the paper's best variant.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dassl.config.validators import at_least, between
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.method import l2_normalize
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer


class CLIPAdapterMethod(CosineMethod):
    """Two matrices without bias, (E / REDUCTION, E) and (E, E / REDUCTION)."""

    published_names = (("down.", "adapter.fc.0."), ("up.", "adapter.fc.2."))

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        width = max(1, clip.embed_dim // settings.REDUCTION)
        self.down = nn.Linear(clip.embed_dim, width, bias=False)
        self.up = nn.Linear(width, clip.embed_dim, bias=False)
        self.w_0 = l2_normalize(clip.prompt_features(task.classnames, task.template))  # (C, E)

    def class_features(self) -> Tensor:
        return self.w_0

    def adapted(self, f: Tensor) -> Tensor:
        """ratio * adapter(f) + (1 - ratio) * f, normalized: (B, E) -> (B, E).

        The paper adapts features before they are normalized. Without biases the result is the same: the length of f
        passes through the adapter as a factor and is divided out. A feature that is zero, at a ratio of 1, stays so.
        """
        ratio, f = self.settings.RATIO, f.to(self.down.weight.dtype)
        return F.normalize(ratio * self.up(self.down(f).relu()).relu() + (1 - ratio) * f, dim=-1)

    def adapted_features(self, images: Tensor) -> dict[str, Tensor]:
        return {"adapted": self.adapted(self.image_features(images))}

    def similarity(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        """CLIP's features (B, E), (C, E) -> logits (B, C) of the adapted ones."""
        return super().similarity(self.adapted(image_features).to(class_features.dtype), class_features)


@TRAINER_REGISTRY.register()
class CLIPAdapter(ClipTrainer):
    """Trains CLIP-Adapter with the engine's optimiser and schedule."""

    method_class = CLIPAdapterMethod
    settings_node = "CLIPADAPTER"
    settings_source = "gaopengcuhk/CLIP-Adapter clip_adapter.py"
    checkpoint_folder = "clip_adapter"
    defaults = {
        "RATIO": Setting(0.2, between(0, 1), "weight of the adapted feature", symbol="α"),
        "REDUCTION": Setting(4, at_least(1), "factor by which the bottleneck is narrower than the feature"),
        "PREC": precision("fp32"),
    }
