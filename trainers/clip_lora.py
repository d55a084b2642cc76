"""CLIP-LoRA: Low-Rank Few-Shot Adaptation of Vision-Language Models (Zanella and Ben Ayed, CVPRW 2024).

Low-rank updates of the attention projections of both encoders. For prediction they are merged into the weights, so that
an adapted CLIP costs what CLIP costs. Written from the paper and from observed numbers: the published code has no
licence.
"""

from __future__ import annotations

from copy import deepcopy

from torch import Tensor

from dassl.config.validators import above, at_least, below_one, between, each, one_of
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.iterations import IterationTrainer
from trainers.base.low_rank import ENCODERS, POSITIONS, PROJECTIONS, LowRankUpdates
from trainers.base.setting import Setting, precision

LOGIT_SCALE = 100.0
"""Logits are 100 * cosine; CLIP's trained temperature is not used."""
TEMPLATE = "a photo of a {}."
"""Prompt for every dataset: the datasets' own templates are not used."""


class CLIPLoRAMethod(CosineMethod):
    """A (r, D) and B (D, r) of each updated projection."""

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.low_rank = LowRankUpdates(
            clip.model,
            settings.R,
            settings.ALPHA,
            tuple(settings.PARAMS),
            settings.POSITION,
            settings.ENCODER,
            settings.DROPOUT,
        )
        self.prompts = clip.prompts(task.classnames, TEMPLATE)
        self.draws = settings.DROPOUT > 0
        self.adapts_images = settings.ENCODER != "text"

    @classmethod
    def needs_vit(cls, settings) -> str:
        return "" if settings.ENCODER == "text" else f"CLIPLoRA with ENCODER {settings.ENCODER}"

    def published_name(self, name: str) -> str:
        return self.low_rank.published_name(name)

    def image_output(self, images: Tensor) -> Tensor:
        return self.low_rank.image_output(self.clip, images)

    def class_output(self) -> Tensor:
        return self.low_rank.class_output(self.clip, self.prompts)

    def settled(self) -> CLIPLoRAMethod:
        other = deepcopy(self)
        other.low_rank.settle()
        return other

    def similarity(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        return LOGIT_SCALE * image_features @ class_features.t()


@TRAINER_REGISTRY.register()
class CLIPLoRA(IterationTrainer):
    """Trains with AdamW for N_ITERS iterations per shot."""

    method_class = CLIPLoRAMethod
    settings_node = "CLIPLORA"
    settings_source = "MaxZanella/CLIP-LoRA run_utils.py"
    checkpoint_folder = "clip_lora"
    defaults = {
        "R": Setting(2, at_least(1), "rank of the low-rank updates", search="1..16:log", symbol="r"),
        "ALPHA": Setting(1.0, above(0), "scale of the update ALPHA / sqrt(R) * B A", symbol="α"),
        "PARAMS": Setting(
            ("q", "k", "v"), each(one_of(*PROJECTIONS)), "projections to update: query, key, value, output"
        ),
        "POSITION": Setting(
            "all", one_of(*POSITIONS), "blocks to update; up: the upper third, half-up: the upper half"
        ),
        "ENCODER": Setting("both", one_of(*ENCODERS), "encoders to update"),
        "DROPOUT": Setting(0.25, below_one(), "probability of dropout on the input of A"),
        "N_ITERS": Setting(500, between(1, 1_000_000), "training steps for each shot: the run has N_ITERS * shots"),
        "PREC": precision("amp"),
    }
