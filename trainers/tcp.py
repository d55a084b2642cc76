"""TCP: Textual-based Class-aware Prompt Tuning for Visual-Language Model (Yao, Zhang and Xu, CVPR 2024).

CoOp's context in the lower layers of the text encoder; at one layer, tokens computed from each class's zero-shot
feature replace it. As in KgCoOp, a loss term keeps text features close to those of hand-written prompts.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from clip.block import QuickGELU
from dassl.config import ConfigError
from dassl.config.validators import at_least, between, or_auto
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.deep_prompts import AUTO, by_depth
from trainers.base.method import Losses, Term, cosine_distance, l2_normalize
from trainers.base.prompt_context import context_prompts, start_context, unread_words
from trainers.base.setting import OURS, Setting, precision
from trainers.base.templates import TEMPLATE
from trainers.base.trainer import ClipTrainer
from trainers.cocoop import bottleneck

REPOSITORY = "htyao89/Textual-based_Class-aware_prompt_tuning"
SCORE_WEIGHT = 8.0
"""Weight of the distance to the zero-shot features; fixed in the published code, whose setting W is not read."""


CONTEXT = "[ctx]"
"""Mark of the learned context in TEMPLATE."""


class ClassTokens:
    """Deep tokens (C, K, D) of each class, which replace the context at the input of one layer."""

    at, grow_at = 1, None

    def __init__(self, tokens: Tensor, layer: int):
        self.of_classes, self.layer, self.count = tokens, layer, tokens.shape[1]

    def tokens(self, layer: int, previous: Tensor | None) -> Tensor | None:
        return self.of_classes if layer == self.layer else None

    def replaced_at(self, layer: int) -> bool:
        return layer == self.layer


class TCPMethod(CosineMethod):
    """The context (N, D), and the network from a class's zero-shot feature to its N tokens."""

    published_names = (("ctx", "prompt_learner.ctx"), ("meta_net.", "prompt_learner.meta_net."))

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        return unread_words(settings.N_CTX)

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        start, words = start_context(clip, settings.CTX_INIT, settings.N_CTX)
        self.ctx = nn.Parameter(start)
        width, depth = start.shape[1], clip.model.transformer.layers
        self.meta_net = bottleneck(clip.embed_dim, clip.embed_dim // 4, len(start) * width, QuickGELU)
        before, _, ending = (settings.TEMPLATE or f"{CONTEXT} {{}}{task.template.partition('{}')[2]}").partition("{}")
        begins = before.replace(CONTEXT, words).strip()
        self.prompts = context_prompts(clip, task.classnames, begins, len(start), ending=ending, key="N_CTX, TEMPLATE")
        self.w_0 = clip.zero_shot_weights(task.classnames, [task.template])  # (C, E)
        self.layer = by_depth(settings.CLASS_TOKENS_LAYER, depth * 2 // 3 + 1)
        if not 1 <= self.layer <= depth:
            raise ConfigError(
                f"CLASS_TOKENS_LAYER is {self.layer}; this backbone's text encoder has layers 1 to {depth}"
            )

    def class_features(self) -> Tensor:
        """w, normalized text features (C, E)."""
        tokens = self.meta_net(self.w_0.to(self.ctx.dtype)).view(len(self.w_0), *self.ctx.shape)
        source = ClassTokens(tokens, self.layer)
        return l2_normalize(self.clip.text.encode(self.prompts, tokens=source, context=self.ctx[None]))

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Return the cross-entropy + 8 * (1 - mean cosine between text features and zero-shot CLIP's)."""
        w = self.class_features()
        logits = self.similarity(self.image_features(images), w)
        score = Term(cosine_distance(w, self.w_0), SCORE_WEIGHT)
        return Losses({"xe": Term(F.cross_entropy(logits, labels)), "score": score}, logits)


@TRAINER_REGISTRY.register()
class TCP(ClipTrainer):
    """Trains TCP with the engine's optimiser and schedule."""

    method_class = TCPMethod
    settings_node = "TCP"
    settings_source = f"{REPOSITORY} configs/trainers/TCP/vit_b16_ep100_ctxv1.yaml"
    checkpoint_folder = "prompt_learner"
    defaults = {
        "N_CTX": Setting(4, between(1, 76), "number of context vectors"),
        "CTX_INIT": Setting("", meaning="words that the context vectors start from; empty: they start at random"),
        "TEMPLATE": Setting(
            "",
            TEMPLATE,
            "class prompt: {} is the name, [ctx] the context (else in place of the first tokens); empty: dataset's",
            OURS,
        ),
        "CLASS_TOKENS_LAYER": Setting(
            AUTO,
            or_auto(at_least(1)),
            "text layer, counted from 1, whose input gets the class tokens; auto: after two thirds of the layers",
            f"{REPOSITORY} trainers/clip_text/model.py",
        ),
        "PREC": precision("fp16"),
    }
