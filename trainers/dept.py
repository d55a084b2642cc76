"""DePT: Decoupled Prompt Tuning (Zhang et al., CVPR 2024), around any method that scores by cosines.

DePT adds a linear head to a prompt-tuning method, its host. The head reads the features after learned scales and
shifts, so that knowledge of the trained classes alone is learned there and the prompts stay general. The host is
wrapped, not copied: `dept(CoOp)` is CoOp with the head. Written from the paper and from observed numbers; the published
code is under the GPL.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dassl.config.validators import above, between, one_of
from dassl.engine import TRAINER_REGISTRY
from trainers.base.cosine import CosineMethod
from trainers.base.method import Losses, Term, l2_normalize, over_trained
from trainers.base.setting import Setting
from trainers.base.trainer import ClipTrainer
from trainers.coop import CoOp
from trainers.kgcoop import KgCoOp
from trainers.maple import MaPLe
from trainers.promptsrc import PromptSRC

RULES = ("fusion", "head", "similarity")
"""Values of BASE_RULE: how trained classes are predicted."""


PUBLISHED_KEYS = {
    "TRAINER.LINEAR_PROBE.TYPE": "DePT's head is linear here, the published default: leave the key out",
    "TRAINER.LINEAR_PROBE.WEIGHT": "here it is WEIGHT of the method, such as TRAINER.DePTCoOp.WEIGHT",
    "TRAINER.LINEAR_PROBE.TEST_TIME_FUSION": "here it is BASE_RULE of the method, such as TRAINER.DePTCoOp.BASE_RULE",
    "TRAINER.FILM.LINEAR_PROBE": "here it is FILM of the method, such as TRAINER.DePTCoOp.FILM",
    "OPTIM.LR_EXP": "here it is LR_EXP of the method, such as TRAINER.DePTCoOp.LR_EXP",
}


class ScaleAndShift(nn.Module):
    """s * z + c for each channel, (..., E) -> (..., E)."""

    def __init__(self, width: int):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, z: Tensor) -> Tensor:
        return self.scale * z + self.bias


class Decoupled(CosineMethod):
    """Mixin before a host's method: scale and shift of image and text outputs (FILM), and the head (C, E)."""

    per_class = ("head.weight", "head.bias")
    rules = ("similarity and linear head", "similarity")
    own_names = (("film_image.", "film_lp_img."), ("film_text.", "film_lp_text."), ("head.", "linear_probe_proj."))
    tied = True  # by the head

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.film_image, self.film_text = (
            ScaleAndShift(clip.embed_dim) if settings.FILM else nn.Identity() for _ in range(2)
        )
        self.head = nn.Linear(clip.embed_dim, len(task.classnames))

    def published_name(self, name: str) -> str:
        for own, published in self.own_names:
            if name.startswith(own):
                return published + name[len(own) :]
        return super().published_name(name)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return the host's parameters at the run's learning rate, and the new ones at LR_EXP times that rate."""
        new = [p for part in (self.film_image, self.film_text, self.head) for p in part.parameters()]
        host = [p for p in self.parameters() if not any(p is other for other in new)]
        return [{"params": host}, {"params": new, "lr": lr * self.settings.LR_EXP}]

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """(1 - WEIGHT) * the host's cross-entropy + WEIGHT * the head's on both outputs + the host's other terms."""
        weight, z, t = self.settings.WEIGHT, self.image_output(images), self.class_output()
        host = self.losses_of(images, labels, l2_normalize(z), l2_normalize(t))
        linear = self.head(torch.cat([self.film_text(t[labels]), self.film_image(z)]))  # (2B, C)
        terms = dict(host.terms)
        terms["xe"] = Term(terms["xe"].value, (1 - weight) * terms["xe"].weight)
        terms["xe_lp"] = Term(F.cross_entropy(linear, labels.repeat(2)), weight)
        return Losses(terms, host.logits)

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        """Trained classes: (1 - WEIGHT) * similarity + WEIGHT * the head's logits, or one alone. Others: similarity."""
        weight = dict(zip(RULES, (self.settings.WEIGHT, 1.0, 0.0), strict=True))[self.settings.BASE_RULE]
        z = self.image_output(images)
        similarity = self.similarity(l2_normalize(z), class_features)
        linear = over_trained(self.head(self.film_image(z)).t(), similarity.t()).t()
        return torch.where(seen, (1 - weight) * similarity + weight * linear, similarity)


def dept(host: type[ClipTrainer], **changed: Any) -> type[ClipTrainer]:
    """Return DePT's trainer for a host; `changed` gives other defaults to settings of the host."""
    name = f"DePT{host.__name__}"
    about = {"__doc__": f"{host.__name__} with a linear head."}
    about |= {"on_frozen_features": host.method_class.on_frozen_features}
    method = type(f"{name}Method", (Decoupled, host.method_class), about)
    content = {
        "__doc__": f"Trains {host.__name__} with a linear head beside it.",
        "__module__": __name__,
        "method_class": method,
        "settings_node": name,
        "settings_source": "Koorye/DePT train.py",
        "published_keys": PUBLISHED_KEYS,
        "defaults": host.defaults
        | {
            "WEIGHT": Setting(0.7, between(0, 1), "weight of the head, in the loss and in predicting trained classes"),
            "LR_EXP": Setting(6.5, above(0), "learning rate of the head, as a multiple of the prompts'"),
            "FILM": Setting(
                True,
                meaning="whether learned scales and shifts are applied before the head",
                source="Koorye/DePT train.py, FILM.LINEAR_PROBE",
            ),
            "BASE_RULE": Setting(
                "fusion",
                one_of(*RULES),
                "prediction of trained classes: by the head, by the similarity, or by a fusion of both logits",
                source="Koorye/DePT train.py, LINEAR_PROBE.TEST_TIME_FUSION",
            ),
        }
        | changed,
    }
    return TRAINER_REGISTRY.register()(type(name, (host,), content))


DePTCoOp = dept(CoOp)
DePTKgCoOp = dept(KgCoOp, W=2.0)
DePTMaPLe = dept(MaPLe)
DePTPromptSRC = dept(PromptSRC)
