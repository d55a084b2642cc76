"""LoRA: low-rank updates of query, key and value weights of both encoders (CLIP-LoRA, CVPRW 2024)."""

import math

import torch
from torch import nn

from clip.substitute import with_weights
from dassl.config.validators import above, at_least
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer


class LoRAMethod(CosineMethod):
    adapts_images = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.prompts = clip.prompts(task.classnames, task.template)
        own = dict(clip.model.named_parameters())
        self.names = [name for name in own if name.endswith("attn.in_proj_weight")]
        self.own = [own[name] for name in self.names]
        rank = settings.RANK
        self.A = nn.ParameterList(nn.Parameter(torch.empty(3, rank, w.shape[1])) for w in self.own)
        self.B = nn.ParameterList(nn.Parameter(torch.zeros(3, w.shape[1], rank)) for w in self.own)
        for A in self.A:
            for a in A:
                nn.init.kaiming_uniform_(a, a=math.sqrt(5))

    def weights(self):
        scale = self.settings.ALPHA / math.sqrt(self.settings.RANK)
        return {
            name: w + scale * (B @ A).flatten(0, 1).to(w.dtype)
            for name, w, A, B in zip(self.names, self.own, self.A, self.B, strict=True)
        }

    def image_output(self, images):
        with with_weights(self.clip.model, self.weights()):
            return self.clip.visual(self.clip.images(images))

    def class_output(self):
        with with_weights(self.clip.model, self.weights()):
            return self.clip.text.encode(self.prompts)


@TRAINER_REGISTRY.register()
class LoRA(ClipTrainer):
    method_class, settings_node = LoRAMethod, "LORA"
    defaults = {
        "RANK": Setting(2, at_least(1), "rank of the updates"),
        "ALPHA": Setting(1.0, above(0), "the update is ALPHA / sqrt(RANK) B A"),
        "PREC": precision("fp32"),
    }
