"""ProGrad: Prompt-aligned Gradient for Prompt Tuning (Zhu et al., ICCV 2023).

CoOp with a correction of each step: where the gradient of the cross-entropy points against that of the distillation
loss to zero-shot CLIP, its conflicting component is removed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dassl.config.validators import NUMBER, above
from dassl.engine import TRAINER_REGISTRY
from trainers.base.method import Losses, Reduce, Scale, Term, alone, unscaled
from trainers.base.prompt_context import placeholders, plain_words
from trainers.base.setting import Setting
from trainers.coop import CoOp, CoOpMethod


class ProGradMethod(CoOpMethod):
    """CoOp's context, and the zero-shot classifier (C, E) that is distilled."""

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
        found = super().unread(settings)
        if len(plain_words(settings.CTX_INIT).split()) < settings.N_CTX:  # rows of zeros come before the words
            found.pop("N_CTX", None)
        return found

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Return the cross-entropy, and T^2 * the distillation loss at temperature T, which only gives a direction."""
        f_0, temperature = self.image_features(images), self.settings.T
        logits, taught = self.similarity(f_0, self.class_features()), self.similarity(f_0, self.w_0)
        soft = (taught / temperature).softmax(dim=1)
        to_teacher = F.cross_entropy(logits / temperature, soft) * temperature**2
        terms = {"xe_loss": Term(F.cross_entropy(logits, labels)), "kl_loss": Term(to_teacher, 0.0)}
        return Losses(terms, logits)

    def backward(self, losses: Losses, scale: Scale = unscaled, reduce: Reduce = alone) -> None:
        """Set the gradients: the cross-entropy's, less LAMBDA times its component against the distillation's.

        While the context equals the teacher's prompt, as before the first step, the distillation loss is at its
        minimum: its gradient is rounding error, with an arbitrary direction.
        """
        parameters = list(self.parameters())
        general = torch.autograd.grad(scale(losses.terms["kl_loss"].value), parameters, retain_graph=True)
        specific = torch.autograd.grad(scale(losses.terms["xe_loss"].value), parameters)
        reduce([*general, *specific])
        for parameter, g, s in zip(parameters, general, specific, strict=True):
            parameter.grad = aligned(s, g, self.settings.LAMBDA)


def aligned(specific: Tensor, general: Tensor, fraction: float) -> Tensor:
    """Remove `fraction` of the component of `specific` along `general` if they conflict; shapes are equal."""
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
