"""CoPrompt: Consistency-guided Prompt Learning for Vision-Language Models (Roy and Etemad, ICLR 2024).

MaPLe's prompts with an adapter after each encoder. The loss keeps both features close to frozen CLIP's: image features
to those of another augmentation of the same image, text features to those of texts that a language model wrote about
the class. The user provides these texts as a JSON file in the authors' layout, {"class name": ["text", ...], ...}, with
the same number of texts for each class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dassl.config import ConfigError
from dassl.config.validators import at_least, between
from dassl.engine import TRAINER_REGISTRY
from trainers.base.class_texts import class_texts, marks_of_texts, text_features, texts_setting
from trainers.base.method import Losses, Term, cosine_distance, l2_normalize
from trainers.base.setting import Setting
from trainers.maple import MaPLe, MaPLeMethod

REDUCTION = 4
"""Factor by which the adapters' hidden layers are narrower than the features."""


class ResidualAdapter(nn.Module):
    """(1 - m) z + m relu(W2 relu(W1 z)), without biases: (..., E) -> (..., E)."""

    def __init__(self, width: int, weight: float):
        super().__init__()
        self.weight = weight
        self.down = nn.Linear(width, max(1, width // REDUCTION), bias=False)
        self.up = nn.Linear(max(1, width // REDUCTION), width, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        z = z.to(self.down.weight.dtype)
        return (1 - self.weight) * z + self.weight * self.up(self.down(z).relu()).relu()


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

    @classmethod
    def marks(cls, settings, data) -> tuple[str, ...]:
        return marks_of_texts(settings)

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

    def image_features(self, images: Tensor) -> Tensor:
        """Normalized features (B, E); of an adapter alone (m = 1) one may be zero, and stays so."""
        return F.normalize(self.image_output(images), dim=-1)

    def class_features(self) -> Tensor:
        """Normalized features (C, E) of the classes, likewise."""
        return F.normalize(self.class_output(), dim=-1)

    def similarity(self, image_features: Tensor, class_features: Tensor) -> Tensor:
        return super().similarity(image_features.to(class_features.dtype), class_features)

    @torch.no_grad()
    def text_teachers(self) -> Tensor:
        """Return frozen CLIP's normalized features (K, C, E) of K texts about each class; computed when first used."""
        if self.teachers is None:
            texts = class_texts("COPROMPT", self.settings.TEXTS, self.task)
            check_counts(texts, self.task.classnames)
            rows = (text_features(self.clip, list(row)) for row in zip(*texts, strict=True))
            self.teachers = torch.stack([l2_normalize(row) for row in rows])
        return self.teachers

    def drawn(self, count: int) -> Tensor:
        """Draw the number (1,) of the text that this step uses, of `count`; it is the same for all classes."""
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


def check_counts(texts: Sequence[Sequence[str]], classnames: Sequence[str]) -> None:
    """Refuse texts if classes have different numbers of them: a step uses the k-th text of every class.

    Raises:
        dassl.config.ConfigError: the numbers differ; names a class with the most and one with the fewest texts.
    """
    by_count = sorted((len(own), name) for own, name in zip(texts, classnames, strict=True))
    (fewest, short), (most, long) = by_count[0], by_count[-1]
    if fewest != most:
        raise ConfigError(
            f"TRAINER.COPROMPT.TEXTS must have as many texts for each class; it has {fewest} of {short} and {most} of "
            f"{long}"
        )


@TRAINER_REGISTRY.register()
class CoPrompt(MaPLe):
    """Trains on two augmentations of each image (DATALOADER.K_TRANSFORMS 2)."""

    method_class = CoPromptMethod
    settings_node = "COPROMPT"
    settings_source = "ShuvenduRoy/CoPrompt configs/trainers/coprompt.yaml"
    defaults = MaPLe.defaults | {
        "W": Setting(8.0, at_least(0), "weight of the distances to frozen CLIP's features"),
        "IMAGE_ADAPTER_M": Setting(0.1, between(0, 1), "weight of the image adapter's output beside its input"),
        "TEXT_ADAPTER_M": Setting(0.2, between(0, 1), "weight of the text adapter's output beside its input"),
        "TEXTS": texts_setting(),
    }

    def before_train(self) -> None:
        with self.precision.context():
            self.method.text_teachers()  # faults of the texts are reported before the first step
        super().before_train()

    def parse_batch_train(self, batch: dict) -> tuple[Tensor, Tensor]:
        views = batch["img"] if isinstance(batch["img"], list) else [batch["img"]]
        images = torch.stack(views, dim=1) if len(views) > 1 else views[0]
        return images.to(self.device), batch["label"].to(self.device)
