"""MaPLe: Multi-modal Prompt Learning (Khattak et al., CVPR 2023).

Prompts in the lower layers of the text encoder; those of the image encoder are linear functions of them.
"""

from __future__ import annotations

from torch import Tensor, nn

from dassl.config.validators import at_least, between, or_auto
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.deep_prompts import AUTO, check_depth, image_prompts, random_prompts, text_prompts
from trainers.base.prompt_context import context_prompts, start_context, unread_words
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer


class MaPLeMethod(CosineMethod):
    """The context and deeper text prompts, each (N, D_t), and a linear map D_t -> D_v for each."""

    published_names = (
        ("ctx", "prompt_learner.ctx"),
        ("text_prompts.", "prompt_learner.compound_prompts_text."),
        ("to_image.", "prompt_learner.proj."),
        ("deeper_to_image.", "prompt_learner.compound_prompt_projections."),
    )
    adapts_images = True
    inside_vit = True

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        return unread_words(settings.N_CTX)

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        image_encoder, text_encoder = clip.visual.transformer, clip.model.transformer
        deepest = min(image_encoder.layers, text_encoder.layers)
        depth = check_depth("PROMPT_DEPTH", settings.PROMPT_DEPTH, deepest, least=1)
        start, words = start_context(clip, settings.CTX_INIT, settings.N_CTX)
        self.ctx = nn.Parameter(start)
        self.text_prompts = random_prompts(depth - 1, len(start), text_encoder.width)
        self.to_image = nn.Linear(text_encoder.width, image_encoder.width)
        self.deeper_to_image = nn.ModuleList(
            nn.Linear(text_encoder.width, image_encoder.width) for _ in self.text_prompts
        )
        self.prompts = context_prompts(clip, task.classnames, words, len(start))

    def class_output(self) -> Tensor:
        """Text features (C, E)."""
        deeper = text_prompts(self.ctx, self.text_prompts)
        return self.clip.text.encode(self.prompts, deeper, context=self.ctx[None])

    def image_output(self, images: Tensor) -> Tensor:
        """Image features (B, E) with the mapped prompts after the patches."""
        deeper = [to(p) for to, p in zip(self.deeper_to_image, self.text_prompts, strict=True)]
        prompts = image_prompts([self.to_image(self.ctx), *deeper])
        return self.clip.visual(self.clip.images(images), prompts)


@TRAINER_REGISTRY.register()
class MaPLe(ClipTrainer):
    """Trains MaPLe with the engine's optimiser and schedule."""

    method_class = MaPLeMethod
    settings_node = "MAPLE"
    settings_source = "muzairkhattak/multimodal-prompt-learning train.py"
    checkpoint_folder = "MultiModalPromptLearner"
    defaults = {
        "N_CTX": Setting(2, between(1, 76), "number of prompts in each layer", search="1..8"),
        "CTX_INIT": Setting(
            "a photo of a", meaning="words to start from, with at most four context vectors; more start at random"
        ),
        "PROMPT_DEPTH": Setting(
            AUTO,
            or_auto(at_least(1)),
            "number of layers with prompts of their own; auto: 9 of 12, other depths of the shallower encoder alike",
        ),
        "PREC": precision("fp16"),
    }
