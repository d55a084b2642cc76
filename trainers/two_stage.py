"""2SFS: Rethinking Few-Shot Adaptation of Vision-Language Models in Two Stages (Farina et al., CVPR 2025).

The first stage tunes a few parameters of both encoders and ends before the features specialise on the trained classes.
The second freezes the encoders and trains a linear classifier on their features. Trained classes are predicted by the
classifier, others by the tuned text encoder (selective inference).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.block import ResidualAttentionBlock
from clip.model import CLIP
from clip.substitute import with_weights
from dassl.config.validators import below_one, between, one_of
from dassl.engine import TRAINER_REGISTRY
from trainers.base.iterations import IterationTrainer
from trainers.base.low_rank import LowRankUpdates
from trainers.base.method import Losses, Method, Term, l2_normalize, over_trained
from trainers.base.setting import Setting, precision

TEMPLATE = "a photo of a {}."
"""Prompt for every dataset: the datasets' own templates are not used."""
RANK, ALPHA = 2, 1.0
"""Rank and scale of PEFT lora, as in CLIP-LoRA."""


def tuned_names(clip: CLIP, peft: str) -> list[str]:
    """Parameters of CLIP that PEFT ln or bitfit tunes.

    ln: the two norms of each block. The published code puts ln_pre, ln_post and ln_final into the optimiser as well,
    and freezes them again. bitfit: every module's bias; those of the q, k and v projections belong to no module.
    """
    if peft == "bitfit":
        return [name for name, _ in clip.named_parameters() if name.endswith(".bias")]
    blocks = [name for name, module in clip.named_modules() if isinstance(module, ResidualAttentionBlock)]
    return [f"{name}.{norm}.{kind}" for name in blocks for norm in ("ln_1", "ln_2") for kind in ("weight", "bias")]


class TwoStageMethod(Method):
    """Tuned parameters of the encoders, and the classifier W (C, E), which is trained in the second stage."""

    per_class = ("classifier",)
    rules = ("classifier", "tuned text encoder")
    tied = True  # by the classifier

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.low_rank, self.names, self.tuned = None, [], nn.ParameterList()
        if settings.PEFT == "lora":
            self.low_rank = LowRankUpdates(clip.model, RANK, ALPHA, dropout=settings.DROPOUT)
        else:
            self.names = tuned_names(clip.model, settings.PEFT)
            self.tuned.extend(clip.model.get_parameter(name).detach().float().clone() for name in self.names)
        self.classifier = nn.Parameter(torch.zeros(len(task.classnames), clip.embed_dim))
        self.register_buffer("second", torch.tensor(False))
        self.prompts = clip.prompts(task.classnames, TEMPLATE)

    @classmethod
    def needs_vit(cls, settings) -> str:
        return "TwoStage with PEFT lora" if settings.PEFT == "lora" else ""

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        return {} if settings.PEFT == "lora" else {"DROPOUT": f"PEFT {settings.PEFT} has none"}

    def published_name(self, name: str) -> str:
        if name.startswith("low_rank."):
            return self.low_rank.published_name(name)
        kind, _, number = name.partition(".")
        return self.names[int(number)] if kind == "tuned" else name

    def adapted(self) -> AbstractContextManager[None]:
        """CLIP with the tuned norms or biases."""
        own = ((name, self.clip.model.get_parameter(name)) for name in self.names)
        tuned = {name: value.to(frozen.dtype) for (name, frozen), value in zip(own, self.tuned, strict=True)}
        return with_weights(self.clip.model, tuned)

    def image_output(self, images: Tensor) -> Tensor:
        """Image features (B, E), of any length."""
        if self.low_rank is not None:
            return self.low_rank.image_output(self.clip, images)
        with self.adapted():
            return self.clip.visual(self.clip.images(images))

    @torch.no_grad()
    def settled(self) -> TwoStageMethod:
        other = deepcopy(self)
        if other.low_rank is not None:
            other.low_rank.settle()
        for name, value in zip(other.names, other.tuned, strict=True):
            if name.startswith("visual."):
                other.clip.model.get_parameter(name).copy_(value)
        other.names, other.tuned = [], nn.ParameterList()
        return other

    def adapted_features(self, images: Tensor) -> dict[str, Tensor]:
        return {"adapted": l2_normalize(self.image_output(images))}

    def text_features(self) -> Tensor:
        """Normalized text features (C, E)."""
        if self.low_rank is not None:
            return l2_normalize(self.low_rank.class_output(self.clip, self.prompts))
        with self.adapted():
            return l2_normalize(self.clip.text.encode(self.prompts))

    def similarity(self, f: Tensor, w: Tensor) -> Tensor:
        """exp(logit_scale) * cosine: (B, E), (C, E) -> (B, C)"""
        return self.clip.logit_scale * l2_normalize(f).to(w.dtype) @ w.t()

    @torch.no_grad()
    def begin_second_stage(self) -> None:
        """The classifier starts at the tuned text features."""
        self.eval()
        self.classifier.copy_(self.text_features())
        self.second.fill_(True)

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Return the cross-entropy: first of the similarities, in the second stage of the classifier's logits."""
        if not self.second:
            logits = self.similarity(self.image_output(images), self.text_features())
        else:
            with torch.no_grad():
                f = self.at_rest(images)
            logits = self.similarity(f, l2_normalize(self.classifier))
        return Losses({"xe": Term(F.cross_entropy(logits, labels))}, logits)

    def at_rest(self, images: Tensor) -> Tensor:
        """Image features (B, E) without dropout."""
        if self.low_rank is None or not self.low_rank.training:
            return self.image_output(images)
        self.low_rank.eval()
        found = self.image_output(images)
        self.low_rank.train()
        return found

    def class_features(self) -> Tensor:
        """Normalized rows of both rules, (2, C, E): classifier, text features."""
        w = self.text_features()
        if not self.second:
            return torch.stack([w, w])
        return torch.stack([over_trained(l2_normalize(self.classifier).to(w.dtype), w), w])

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        """Trained classes: the classifier. Others: the tuned text encoder."""
        f = self.image_output(images)
        trained, others = (self.similarity(f, w) for w in class_features)
        return torch.where(seen, trained, others)


@TRAINER_REGISTRY.register()
class TwoStage(IterationTrainer):
    """Trains with AdamW for N_ITERS iterations per shot: the encoders for a fraction of them, then the classifier.

    One optimiser serves both stages: a parameter without a gradient is not stepped, not decayed and has no moments, so
    each stage trains as with an optimiser of its own.
    """

    method_class = TwoStageMethod
    settings_node = "TWOSTAGE"
    settings_source = "FarinaMatteo/rethinking_fewshot_vlms main.py"
    checkpoint_folder = "two_stage"
    defaults = {
        "PEFT": Setting(
            "ln",
            one_of("ln", "lora", "bitfit"),
            "what the first stage trains; ln: layer norms, lora: low-rank updates of attention, bitfit: biases",
        ),
        "DROPOUT": Setting(0.25, below_one(), "with PEFT lora: probability of dropout on the input of A"),
        "N_ITERS": Setting(300, between(1, 1_000_000), "training steps for each shot, both stages together"),
        "N_ITERS_FRAC": Setting(0.6, between(0, 1), "fraction of the training steps in the first stage"),
        "PREC": precision("amp"),
    }

    def stages(self, iterations: int) -> Sequence[int]:
        first = int(iterations * self.settings.N_ITERS_FRAC)
        return [first, iterations - first]

    def run_epoch(self) -> None:
        if self.plan[self.epoch][0] == 1 and not self.method.second:
            with self.precision.context():
                self.method.begin_second_stage()
            self.restart_graphs()
        super().run_epoch()
