"""IVLP: independent vision-language prompting, the baseline of MaPLe (Khattak et al., CVPR 2023) and PromptSRC.

Learned prompts in both encoders, without any connection between them.
"""

from __future__ import annotations

from torch import Tensor, nn

from dassl.config import ConfigError
from dassl.config.validators import at_least, between, or_auto
from dassl.engine import TRAINER_REGISTRY
from trainers.base.deep_prompts import AUTO, check_depth, random_prompts, text_prompts
from trainers.base.prompt_context import context_prompts, plain_words, start_context, unread_words
from trainers.base.setting import Setting, precision
from trainers.vpt import VPT, VPTMethod

N_CTX_TEXT = "N_CTX_TEXT"


class IVLPMethod(VPTMethod):
    """VPT's image prompts, a context (N, D), and text prompts (N, D) for each further layer up to the depth.

    With a depth of 0 an encoder has no prompts: its features, of images or of "CTX_INIT NAME.", are frozen CLIP's.
    """

    published_names = (*VPTMethod.published_names, ("ctx", "prompt_learner.ctx"))
    least_depth = 0

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        found = unread_words(settings.N_CTX_TEXT, N_CTX_TEXT)
        if settings.PROMPT_DEPTH_TEXT == 0:
            found = {N_CTX_TEXT: "PROMPT_DEPTH_TEXT 0 is no context"}
        if settings.PROMPT_DEPTH_VISION == 0:
            found["N_CTX_VISION"] = "PROMPT_DEPTH_VISION 0 is no prompt"
        return found

    def prepare_text(self) -> None:
        settings, clip = self.settings, self.clip
        encoder = clip.model.transformer
        depth = check_depth("PROMPT_DEPTH_TEXT", settings.PROMPT_DEPTH_TEXT, encoder.layers)
        self.fixed_w = None
        if not depth:
            if not len(self.image_prompts):
                raise ConfigError("PROMPT_DEPTH_TEXT and PROMPT_DEPTH_VISION are both 0: there is nothing to learn")
            template = f"{plain_words(settings.CTX_INIT)} {{}}.".strip()
            self.fixed_w = clip.zero_shot_weights(self.task.classnames, [template])  # (C, E)
            return
        start, words = start_context(clip, settings.CTX_INIT, settings.N_CTX_TEXT, N_CTX_TEXT)
        self.ctx = nn.Parameter(start)
        self.text_prompts = random_prompts(depth - 1, len(start), encoder.width)
        self.prompts = context_prompts(clip, self.task.classnames, words, len(start), key=N_CTX_TEXT)

    def class_output(self) -> Tensor:
        """Text features (C, E)."""
        if self.fixed_w is not None:
            return self.fixed_w
        deeper = text_prompts(self.ctx, self.text_prompts)
        return self.clip.text.encode(self.prompts, deeper, context=self.ctx[None])


@TRAINER_REGISTRY.register()
class IVLP(VPT):
    """Trains IVLP with the engine's optimiser and schedule."""

    method_class = IVLPMethod
    settings_node = "IVLP"
    settings_source = "muzairkhattak/multimodal-prompt-learning train.py"
    defaults = {
        "N_CTX_VISION": Setting(2, between(0, 76), "number of prompts in each layer of the image encoder"),
        "N_CTX_TEXT": Setting(2, between(1, 76), "number of prompts in each layer of the text encoder"),
        "CTX_INIT": Setting(
            "a photo of a", meaning="words to start from, with at most four context vectors; more start at random"
        ),
        "PROMPT_DEPTH_VISION": Setting(
            AUTO,
            or_auto(at_least(0)),
            "number of image layers with prompts of their own; 0: none; auto: 9 of 12, other depths alike",
        ),
        "PROMPT_DEPTH_TEXT": Setting(
            AUTO,
            or_auto(at_least(0)),
            "number of text layers with prompts of their own; 1: the input alone; auto: 9 of 12, other depths alike",
        ),
        "PREC": precision("fp16"),
    }
