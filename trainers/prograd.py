"""ProGrad: Prompt-aligned Gradient for Prompt Tuning (Zhu et al., ICCV 2023).

CoOp whose steps may not work against zero-shot CLIP: where the gradient of the cross-entropy points away from
that of the distillation loss, the conflicting part is taken out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dassl.config.validators import NUMBER, above
from dassl.engine import TRAINER_REGISTRY
from trainers.base.method import Losses, Reduce, Scale, Term, alone, unscaled
from trainers.base.prompt_context import placeholders
from trainers.base.setting import Setting
from trainers.coop import CoOp, CoOpMethod


class ProGradMethod(CoOpMethod):
    """CoOp's context, and the zero-shot classifier that teaches it."""

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.w_0 = clip.zero_shot_weights(task.classnames, [task.template])  # (C, E)

    def start(self, *shape: int) -> tuple[Tensor, str]:
        """Return CoOp's start values; where N_CTX asks for more rows than there are words, zeros come first."""
        rows, words = super().start(*shape)
        missing = shape[-1] - rows.shape[-2]
        if missing <= 0:
            return rows, words
        return F.pad(rows, (0, 0, missing, 0)), f"{placeholders(missing)} {words}"

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        return {name: why for name, why in super().unread(settings).items() if name != "N_CTX"}

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy, and T^2 * cross-entropy to the teacher's softened prediction, which gives a direction only."""
        f_0, temperature = self.image_features(images), self.settings.T
        logits, taught = self.similarity(f_0, self.class_features()), self.similarity(f_0, self.w_0)
        soft = (taught / temperature).softmax(dim=1)
        to_teacher = F.cross_entropy(logits / temperature, soft) * temperature**2
        terms = {"xe_loss": Term(F.cross_entropy(logits, labels)), "kl_loss": Term(to_teacher, 0.0)}
        return Losses(terms, logits)

    def backward(self, losses: Losses, scale: Scale = unscaled, reduce: Reduce = alone) -> None:
        """Gradient of the cross-entropy, less LAMBDA of its part against the gradient of the distillation.

        While the context is the teacher's own prompt, as before the first step, there is nothing to distil: that
        gradient is rounding alone, and its direction is whatever the rounding makes it.
        """
        parameters = list(self.parameters())
        general = torch.autograd.grad(scale(losses.terms["kl_loss"].value), parameters, retain_graph=True)
        specific = torch.autograd.grad(scale(losses.terms["xe_loss"].value), parameters)
        reduce([*general, *specific])
        for parameter, g, s in zip(parameters, general, specific, strict=True):
            parameter.grad = aligned(s, g, self.settings.LAMBDA)


def aligned(specific: Tensor, general: Tensor, fraction: float) -> Tensor:
    """`specific` without `fraction` of its part along `general` where the two conflict; any equal shapes."""
    direction = F.normalize(general.flatten(), dim=0).view_as(general)
    along = (specific * direction).sum()
    return specific - fraction * along.clamp(max=0) * direction


@TRAINER_REGISTRY.register()
class ProGrad(CoOp):
    """Trains ProGrad with the engine's optimiser and schedule."""

    method_class = ProGradMethod
    settings_node = "PROGRAD"
    settings_source = "BeierZhu/Prompt-align train.py, trainers/prograd.py"
    defaults = CoOp.defaults | {
        "N_CTX": 4,
        "CTX_INIT": "a photo of a",
        "T": Setting(1.0, above(0), "temperature of the distillation loss"),
        "LAMBDA": Setting(1.0, NUMBER, "fraction of the conflicting gradient to remove", symbol="λ"),
    }
