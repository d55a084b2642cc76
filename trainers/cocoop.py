"""CoCoOp: Conditional Prompt Learning for Vision-Language Models (Zhou et al., CVPR 2022).

CoOp's context plus a shift for each image, which a small network computes from the image's feature.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dassl.config.validators import between
from dassl.engine import TRAINER_REGISTRY
from trainers.base.method import Losses, Method, Term, l2_normalize
from trainers.base.prompt_context import context_prompts, plain_words, start_whole_context
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer

ROWS_AT_ONCE = 20_000
"""Most prompts that one pass through the text encoder may hold in prediction; larger batches are split into groups."""


class CoCoOpMethod(Method):
    """The context (N, D), and the network from an image's feature to its shift."""

    published_names = (("ctx", "prompt_learner.ctx"), ("meta_net.", "prompt_learner.meta_net."))
    conditional = True
    on_frozen_features = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        start, words = start_whole_context(clip, settings.CTX_INIT, settings.N_CTX)
        self.ctx = nn.Parameter(start)
        self.meta_net = bottleneck(clip.embed_dim, clip.embed_dim // 16, clip.model.transformer.width)
        self.prompts = context_prompts(clip, task.classnames, words, len(start))

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        why = f"the words of CTX_INIT, {settings.CTX_INIT!r}, give the context's length; empty it to use this"
        return {"N_CTX": why} if plain_words(settings.CTX_INIT) else {}

    def class_features(self) -> None:
        """Return nothing: the class features depend on the image."""

    def conditional_features(self, f_0: Tensor) -> Tensor:
        """w(x), normalized text features of the context shifted for each image: (B, E) -> (B, C, E)"""
        context = self.ctx + self.meta_net(f_0.to(self.ctx.dtype))[:, None]  # (B, N, D)
        return l2_normalize(self.clip.text.encode(self.prompts, context=context)).view(len(f_0), -1, f_0.shape[1])

    def conditional_logits(self, f_0: Tensor) -> Tensor:
        """exp(logit_scale) * cosine of each image and its own prompts: (B, E) -> (B, C)"""
        w = self.conditional_features(f_0)
        return self.clip.logit_scale * torch.einsum("be,bce->bc", f_0, w.to(f_0.dtype))

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy."""
        logits = self.conditional_logits(self.clip.image_features(images))
        return Losses({"xe": Term(F.cross_entropy(logits, labels))}, logits)

    def logits(self, images: Tensor, class_features: None, seen: Tensor) -> Tensor:
        at_once = max(1, ROWS_AT_ONCE // len(self.prompts.suffix_ids))
        return torch.cat([self.conditional_logits(f) for f in self.clip.image_features(images).split(at_once)])


def bottleneck(inputs: int, hidden: int, outputs: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """A two-layer network, (..., inputs) -> (..., outputs)."""
    layers = (nn.Linear(inputs, hidden), activation(), nn.Linear(hidden, outputs))
    return nn.Sequential(OrderedDict(zip(("linear1", "relu", "linear2"), layers, strict=True)))


@TRAINER_REGISTRY.register()
class CoCoOp(ClipTrainer):
    """Trains CoCoOp with the engine's optimiser and schedule."""

    method_class = CoCoOpMethod
    settings_node = "COCOOP"
    settings_source = "KaiyangZhou/CoOp train.py"
    checkpoint_folder = "prompt_learner"
    defaults = {
        "N_CTX": Setting(16, between(1, 76), "number of context vectors"),
        "CTX_INIT": Setting("", meaning="words to start from, a context vector for each; N_CTX is then ignored"),
        "PREC": precision("fp16"),
    }
