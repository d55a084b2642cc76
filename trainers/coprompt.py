"""CoPrompt: Consistency-guided Prompt Learning for Vision-Language Models (Roy and Etemad, ICLR 2024).

MaPLe's prompts with an adapter behind each encoder. What they give is held to frozen CLIP: image features to those of
another augmentation of the same image, text features to those of texts that a language model wrote about the class.
The texts are the user's: a JSON file in the authors' layout, {"class name": ["text", ...], ...}, with as many texts for
each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.prompt_batch import PromptBatch
from clip.tokenizer import tokenize
from dassl.config import ConfigError
from dassl.config.validators import at_least, between
from dassl.engine import TRAINER_REGISTRY
from safeio.read_back import read_json
from trainers.base.method import Losses, Term, cosine_distance, l2_normalize
from trainers.base.setting import Setting
from trainers.base.templates import ensemble
from trainers.maple import MaPLe, MaPLeMethod

TEMPLATES = "templates"
"""The value of TEXTS that takes sixty templates in place of a language model's texts."""
REDUCTION = 4
"""The adapters' hidden layers are so many times narrower than the features."""


class ResidualAdapter(nn.Module):
    """(1 - m) z + m relu(W2 relu(W1 z)), without biases: (..., E) -> (..., E)."""

    def __init__(self, width: int, share: float):
        super().__init__()
        self.share = share
        self.down = nn.Linear(width, max(1, width // REDUCTION), bias=False)
        self.up = nn.Linear(max(1, width // REDUCTION), width, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        z = z.to(self.down.weight.dtype)
        return (1 - self.share) * z + self.share * self.up(self.down(z).relu()).relu()


class CoPromptMethod(MaPLeMethod):
    """MaPLe's prompts and maps, and an adapter for each encoder's output."""

    published_names = (
        *MaPLeMethod.published_names,
        ("adapter_image.down.", "adapter_image.fc.0."),
        ("adapter_image.up.", "adapter_image.fc.2."),
        ("adapter_text.down.", "adapter_text.fc.0."),
        ("adapter_text.up.", "adapter_text.fc.2."),
    )
    draws = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        self.adapter_image = ResidualAdapter(clip.embed_dim, settings.IMAGE_ADAPTER_M)
        self.adapter_text = ResidualAdapter(clip.embed_dim, settings.TEXT_ADAPTER_M)
        self.teachers: Tensor | None = None

    def image_output(self, images: Tensor) -> Tensor:
        """Adapted image features (B, E)."""
        return self.adapter_image(super().image_output(images))

    def class_output(self) -> Tensor:
        """Adapted text features (C, E)."""
        return self.adapter_text(super().class_output())

    def similarity(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        return super().similarity(image_features.to(class_features.dtype), class_features)

    @torch.no_grad()
    def text_teachers(self) -> Tensor:
        """Normalized frozen features (K, C, E) of K texts about each class; computed when training first asks."""
        if self.teachers is None:
            texts = texts_of(self.settings.TEXTS, self.task.classnames)
            length = self.clip.model.context_length
            batches = [
                PromptBatch(tokenize(list(row), context_length=length, truncate=True), device=self.clip.device)
                for row in zip(*texts, strict=True)
            ]
            self.teachers = torch.stack([l2_normalize(self.clip.text.encode(batch)) for batch in batches])
        return self.teachers

    def drawn(self, count: int) -> Tensor:
        """The text that teaches in this step, of `count`, the same for all classes: (1,)."""
        return torch.randint(count, (1,), device=self.clip.device)

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy + W * (distances of text and image features to those of frozen CLIP).

        Args:
            images: (B, 2, 3, S, S), two augmentations of each image: for the prompted encoder, and for the frozen one;
                or (B, 3, S, S), one for both.
        """
        own, other = images.unbind(dim=1) if images.ndim == 5 else (images, images)
        f, w, weight = self.image_features(own), self.class_features(), self.settings.W
        logits, teachers = self.similarity(f, w), self.text_teachers()
        teacher = teachers.index_select(0, self.drawn(len(teachers)))[0]
        terms = {
            "xe": Term(F.cross_entropy(logits, labels)),
            "distill_text": Term(cosine_distance(w, teacher), weight),
            "distill_image": Term(cosine_distance(f, self.clip.image_features(other)), weight),
        }
        return Losses(terms, logits)


def texts_of(file: str, classnames: Sequence[str]) -> list[list[str]]:
    """Texts about each class from a JSON file, or from templates.

    Raises:
        dassl.config.ConfigError: no file is named, it is none of this layout, or it lacks texts of a class.
    """
    key = "TRAINER.COPROMPT.TEXTS"
    names = [name.replace("_", " ") for name in classnames]
    if file == TEMPLATES:
        return [[template.format(name) for template in ensemble("sixty")] for name in names]
    if not file or not Path(file).is_file():
        raise ConfigError(
            f"{key} is {file!r}; CoPrompt needs a JSON file with texts of a language model about each class, "
            '{"class name": ["text", ...], ...} (the authors\' gpt_file/*.json). '
            f"{key} {TEMPLATES} takes sixty templates in their place, which is not the published method"
        )
    content = read_json(file, {str: [str]}, f'{key} has the layout {{"class name": ["text", ...]}}.')
    texts = {name.replace("_", " ").casefold(): own for name, own in content.items()}
    missing = [name for name in names if not texts.get(name.casefold())]
    if missing:
        raise ConfigError(f"{key}: {file} has no texts of {len(missing)} classes: {', '.join(missing[:5])}")
    found = [texts[name.casefold()] for name in names]
    if len({len(own) for own in found}) > 1:
        counts = ", ".join(f"{name} {len(own)}" for name, own in list(zip(names, found, strict=True))[:5])
        raise ConfigError(f"{key}: {file} must have as many texts for each class; it has: {counts} ...")
    return found


@TRAINER_REGISTRY.register()
class CoPrompt(MaPLe):
    """Trains on two augmentations of each image (DATALOADER.K_TRANSFORMS 2)."""

    method_class = CoPromptMethod
    settings_node = "COPROMPT"
    defaults = MaPLe.defaults | {
        "W": Setting(8.0, at_least(0), "weight of the distances to frozen CLIP"),
        "IMAGE_ADAPTER_M": Setting(0.1, between(0, 1), "share of the adapted image feature"),
        "TEXT_ADAPTER_M": Setting(0.2, between(0, 1), "share of the adapted text feature"),
        "TEXTS": Setting("", meaning='JSON file of a language model\'s texts, or "templates"'),
    }

    def before_train(self) -> None:
        with self.precision.context():
            self.method.text_teachers()  # what is wrong with the texts is said before the first step
        super().before_train()

    def parse_batch_train(self, batch: dict) -> tuple[Tensor, Tensor]:
        views = batch["img"] if isinstance(batch["img"], list) else [batch["img"]]
        images = torch.stack(views, dim=1) if len(views) > 1 else views[0]
        return images.to(self.device), batch["label"].to(self.device)
