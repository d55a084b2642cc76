"""KgCoOp: Visual-Language Prompt Tuning with Knowledge-Guided Context Optimization (Yao et al., CVPR 2023).

CoOp with a loss term that keeps text features close to those of hand-written prompts.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dassl.config.validators import at_least
from dassl.engine import TRAINER_REGISTRY
from trainers.base.method import Losses, Term, cosine_distance
from trainers.base.setting import Setting
from trainers.coop import CoOp, CoOpMethod


class KgCoOpMethod(CoOpMethod):
    """CoOp's context, and w_clip (C, E), the zero-shot text features that the loss compares with."""

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.w_0 = clip.zero_shot_weights(task.classnames, [task.template])  # (C, E)

    def losses_of(self, images: Tensor, labels: Tensor, f: Tensor, w: Tensor) -> Losses:
        """Return the cross-entropy + W * (1 - mean cosine between text features w and w_clip)."""
        logits = self.similarity(f, w)
        xe = Term(F.cross_entropy(logits, labels))
        return Losses({"xe": xe, "score": Term(cosine_distance(w, self.w_0), self.settings.W)}, logits)


@TRAINER_REGISTRY.register()
class KgCoOp(CoOp):
    """Trains KgCoOp with the engine's optimiser and schedule."""

    method_class = KgCoOpMethod
    settings_node = "KGCOOP"
    settings_source = "htyao89/KgCoOp configs/trainers/KgCoOp/vit_b16_ep100_ctxv1.yaml, train.py"
    defaults = CoOp.defaults | {
        "N_CTX": 4,
        "CTX_INIT": "a photo of a",
        "W": Setting(
            8.0, at_least(0), "weight of the distance to the hand-written prompts", search="0.5..20:log", symbol="λ"
        ),
    }
