"""IVLP: independent vision-language prompting, the baseline of MaPLe (Khattak et al., CVPR 2023) and PromptSRC.

Prompts in both encoders that know nothing of each other.
"""

from __future__ import annotations

from torch import Tensor, nn

from dassl.engine import TRAINER_REGISTRY
from trainers.base.deep_prompts import check_depth, random_prompts, text_prompts
from trainers.base.prompt_context import context_prompts, start_context
from trainers.vpt import VPT, VPTMethod


class IVLPMethod(VPTMethod):
    """VPT's image prompts, a context (N, D), and text prompts (N, D) for each further layer up to the depth."""

    published_names = (*VPTMethod.published_names, ("ctx", "prompt_learner.ctx"))

    def prepare_text(self) -> None:
        settings, clip = self.settings, self.clip
        encoder = clip.model.transformer
        depth = check_depth("PROMPT_DEPTH_TEXT", settings.PROMPT_DEPTH_TEXT, encoder.layers)
        start, words = start_context(clip, settings.CTX_INIT, settings.N_CTX_TEXT)
        self.ctx = nn.Parameter(start)
        self.text_prompts = random_prompts(depth - 1, len(start), encoder.width)
        self.prompts = context_prompts(clip, self.task.classnames, words, len(start))

    def class_output(self) -> Tensor:
        """Text features (C, E)."""
        deeper = text_prompts(self.ctx, self.text_prompts)
        return self.clip.text.encode(self.prompts, deeper, context=self.ctx[None])


@TRAINER_REGISTRY.register()
class IVLP(VPT):
    """Trains IVLP with the engine's optimiser and schedule."""

    method_class = IVLPMethod
    settings_node = "IVLP"
    defaults = {
        "N_CTX_VISION": 2,
        "N_CTX_TEXT": 2,
        "CTX_INIT": "a photo of a",  # the words that the context starts from; used up to four context rows
        "PROMPT_DEPTH_VISION": 0,  # 0: by the encoder's depth, 9 of 12
        "PROMPT_DEPTH_TEXT": 0,
        "PREC": "fp16",
    }
