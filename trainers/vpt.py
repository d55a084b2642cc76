"""VPT: prompts in the image encoder alone, after Visual Prompt Tuning (Jia et al., ECCV 2022).

The variant that MaPLe's and PromptSRC's authors compare with: learned tokens after the patches, in the deep variant new
ones at each of the lower layers; text features are those of "a photo of a NAME.".
"""

from __future__ import annotations

from torch import Tensor

from dassl.config import ConfigError
from dassl.config.validators import at_least, between, or_auto
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.deep_prompts import check_depth, image_prompts, random_prompts
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer

TEMPLATE = "a photo of a {}."
"""Prompt for every dataset: the datasets' own templates are not used."""


class VPTMethod(CosineMethod):
    """Image prompts (K, D), one set per layer up to the depth."""

    published_names = (("image_prompts.0", "image_encoder.VPT"),)
    inside_vit = True
    least_depth = 1  # of the image prompts: nothing else is learned

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        encoder = clip.visual.transformer
        depth = check_depth("PROMPT_DEPTH_VISION", settings.PROMPT_DEPTH_VISION, encoder.layers, self.least_depth)
        if depth and not settings.N_CTX_VISION:
            raise ConfigError(
                f"N_CTX_VISION is 0, but PROMPT_DEPTH_VISION asks for prompts in {depth} layers: set N_CTX_VISION to "
                f"at least 1, or PROMPT_DEPTH_VISION 0 for no image prompts"
            )
        self.adapts_images = depth > 0
        self.image_prompts = random_prompts(depth, settings.N_CTX_VISION, encoder.width)
        self.prepare_text()

    def prepare_text(self) -> None:
        """Compute the class features, which are not trained."""
        self.w_0 = self.clip.zero_shot_weights(self.task.classnames, [TEMPLATE])  # (C, E)

    def published_name(self, name: str) -> str:
        encoder, _, layer = name.partition("_prompts.")
        if layer and name != "image_prompts.0":
            below = int(layer) + (encoder == "text")  # the text encoder's first prompts are the context
            return f"{encoder}_encoder.transformer.resblocks.{below}.VPT_shallow"
        return super().published_name(name)

    def class_output(self) -> Tensor:
        return self.w_0

    def image_output(self, images: Tensor) -> Tensor:
        """Image features (B, E) with the prompts after the patches."""
        return self.clip.visual(self.clip.images(images), image_prompts(self.image_prompts))


@TRAINER_REGISTRY.register()
class VPT(ClipTrainer):
    """Trains VPT with the engine's optimiser and schedule."""

    method_class = VPTMethod
    settings_node = "VPT"
    settings_source = "muzairkhattak/multimodal-prompt-learning configs/trainers/VPT/vit_b16_c2_ep5_batch4_4.yaml"
    checkpoint_folder = "VLPromptLearner"
    defaults = {
        "N_CTX_VISION": Setting(8, between(1, 76), "number of prompts in each layer of the image encoder"),
        "PROMPT_DEPTH_VISION": Setting(
            1,
            or_auto(at_least(1)),
            "number of layers with prompts of their own; auto: 9 of 12, other depths alike",
        ),
        "PREC": precision("fp16"),
    }
