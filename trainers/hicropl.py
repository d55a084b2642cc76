"""HiCroPL: Hierarchical Cross-modal Prompt Learning for Vision-Language Models (Zheng et al., ICCV 2025).

Prompts in the layers of both encoders that inform each other in both directions: in the layers up to k the text prompts
shape the image prompts, above k the image prompts shape the text prompts. A proxy, one token that attends to the
prompts of a layer, summarises them; a mapper lets the other encoder's prompts of all layers attend to all proxies, so
that information of lower layers reaches higher ones. Image features are averaged with frozen CLIP's, text features with
those of texts that a language model wrote about the class. Written from the paper's equations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.block import QuickGELU
from dassl.config import ConfigError
from dassl.config.validators import at_least, between, or_auto
from dassl.engine import TRAINER_REGISTRY
from trainers.base.class_texts import class_texts, marks_of_texts, text_features, texts_setting
from trainers.base.cosine import CosineMethod
from trainers.base.deep_prompts import AUTO, by_depth, check_depth, image_prompts, random_prompts, text_prompts
from trainers.base.method import Losses, Term, cosine_distance, l2_normalize
from trainers.base.prompt_context import context_prompts, start_context, unread_words
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer

HEADS = 8
"""Heads of the proxies' and mappers' attention; with a width that 8 does not divide, their greatest common divisor."""


def attention(width: int) -> nn.MultiheadAttention:
    """Attention of a few prompts, without a batch: (N, D), (M, D), (M, D) -> (N, D)."""
    return nn.MultiheadAttention(width, math.gcd(HEADS, width))


class Proxy(nn.Module):
    """A token q attends to the prompts P of a layer: LN2(q + attention(LN1 q, LN1 P, LN1 P)), (N, D) -> (1, D)."""

    def __init__(self, width: int):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, width))
        self.attention, self.ln_1, self.ln_2 = attention(width), nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, prompts: Tensor) -> Tensor:
        q, p = self.ln_1(self.token), self.ln_1(prompts)
        return self.ln_2(self.token + self.attention(q, p, p, need_weights=False)[0])


class Mapper(nn.Module):
    """Prompts of all layers attend to the proxies of the other encoder: (N, D), (M, D') -> (N, D).

    With Q, K, V the linear maps of prompts and proxies: x = Q + attention(LN1 Q, LN1 K, LN1 V), then x + MLP(LN2 x).
    """

    def __init__(self, width: int, width_of_other: int):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(d, width) for d in (width, width_of_other, width_of_other))
        self.attention, self.ln_1, self.ln_2 = attention(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), QuickGELU(), nn.Linear(4 * width, width))

    def forward(self, prompts: Tensor, proxies: Tensor) -> Tensor:
        q, k, v = self.q(prompts), self.k(proxies), self.v(proxies)
        x = q + self.attention(self.ln_1(q), self.ln_1(k), self.ln_1(v), need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class HiCroPLMethod(CosineMethod):
    """Prompts (N, D) of each layer of both encoders, a proxy for each layer, and a mapper for each direction."""

    adapts_images = True
    inside_vit = True

    @classmethod
    def marks(cls, settings, data) -> tuple[str, ...]:
        return marks_of_texts(settings)

    @classmethod
    def unread(cls, settings) -> dict[str, str]:
        return unread_words(settings.N_CTX)

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        image_encoder, text_encoder = clip.visual.transformer, clip.model.transformer
        deepest = min(image_encoder.layers, text_encoder.layers)
        depth = check_depth("PROMPT_DEPTH", by_depth(settings.PROMPT_DEPTH, deepest), deepest, least=2)
        self.cross = by_depth(settings.CROSS_LAYER, depth // 2)
        if not 1 <= self.cross < depth:
            raise ConfigError(
                f"CROSS_LAYER is {self.cross}; it must be from 1 to {depth - 1}, below the {depth} layers with prompts "
                f"(PROMPT_DEPTH), so that each encoder's prompts shape some of the other's"
            )
        start, words = start_context(clip, settings.CTX_INIT, settings.N_CTX)
        self.ctx = nn.Parameter(start)
        self.text_prompts = random_prompts(depth - 1, len(start), text_encoder.width)
        self.image_prompts = random_prompts(depth, len(start), image_encoder.width)
        self.text_proxies = nn.ModuleList(Proxy(text_encoder.width) for _ in range(self.cross))
        self.image_proxies = nn.ModuleList(Proxy(image_encoder.width) for _ in range(self.cross, depth))
        self.to_image = Mapper(image_encoder.width, text_encoder.width)
        self.to_text = Mapper(text_encoder.width, image_encoder.width)
        self.prompts = context_prompts(clip, task.classnames, words, len(start))
        self.texts: Tensor | None = None

    @torch.no_grad()
    def text_knowledge(self) -> Tensor:
        """w_0: the mean (C, E) of frozen CLIP's features of the texts about each class; computed when first needed."""
        if self.texts is None:
            about = class_texts("HICROPL", self.settings.TEXTS, self.task)
            means = [l2_normalize(text_features(self.clip, own)).mean(dim=0) for own in about]
            self.texts = l2_normalize(torch.stack(means))
        return self.texts

    def shaped_image_prompts(self) -> list[Tensor]:
        """Return the prompts (N, D_v) of the image encoder's layers; those up to layer k have passed the mapper."""
        text, image = [self.ctx, *self.text_prompts], [*self.image_prompts]
        lower = mapped(self.to_image, image[: self.cross], self.text_proxies, text[: self.cross])
        return [*lower, *image[self.cross :]]

    def shaped_text_prompts(self) -> list[Tensor]:
        """Return the prompts (N, D_t) of the text encoder's layers; those above layer k have passed the mapper."""
        text, image = [self.ctx, *self.text_prompts], [*self.image_prompts]
        upper = mapped(self.to_text, text[self.cross :], self.image_proxies, image[self.cross :])
        return [*text[: self.cross], *upper]

    def image_output(self, images: Tensor) -> Tensor:
        """Image features (B, E) with the prompts after the patches."""
        return self.clip.visual(self.clip.images(images), image_prompts(self.shaped_image_prompts()))

    def class_output(self) -> Tensor:
        """Text features (C, E)."""
        context, *deeper = self.shaped_text_prompts()
        return self.clip.text.encode(self.prompts, text_prompts(context, deeper), context=context[None])

    def image_features(self, images: Tensor) -> Tensor:
        """Return normalized image features (B, E), averaged with frozen CLIP's."""
        return averaged(self.image_output(images), self.clip.image_features(images))

    def class_features(self) -> Tensor:
        """Return normalized text features (C, E), averaged with those of the texts about the classes."""
        return averaged(self.class_output(), self.text_knowledge())

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """Cross-entropy + LAMBD * (distances of text and image features to those of frozen CLIP)."""
        f_0, w_0, weight = self.clip.image_features(images), self.text_knowledge(), self.settings.LAMBD
        f, w = averaged(self.image_output(images), f_0), averaged(self.class_output(), w_0)
        logits = self.similarity(f, w)
        terms = {
            "xe": Term(F.cross_entropy(logits, labels)),
            "distill_text": Term(cosine_distance(w, w_0), weight),
            "distill_image": Term(cosine_distance(f, f_0), weight),
        }
        return Losses(terms, logits)


def mapped(
    mapper: Mapper, prompts: Sequence[Tensor], proxies: Sequence[Proxy], of_other: Sequence[Tensor]
) -> list[Tensor]:
    """Return prompts of some layers after attending to the proxies of the other encoder's prompts in these layers."""
    spoken = torch.cat([proxy(own) for proxy, own in zip(proxies, of_other, strict=True)])  # (layers, D')
    return list(mapper(torch.cat([*prompts]), spoken).chunk(len(prompts)))


def averaged(x: Tensor, frozen: Tensor) -> Tensor:
    """unit(unit(x) + frozen): (..., E), (..., E) -> (..., E)"""
    return l2_normalize(l2_normalize(x) + frozen)


@TRAINER_REGISTRY.register()
class HiCroPL(ClipTrainer):
    """Trains HiCroPL with the engine's optimiser and schedule."""

    method_class = HiCroPLMethod
    settings_node = "HICROPL"
    settings_source = "zzeoZheng/HiCroPL configs/trainers/HiCroPL/vit_b16_c2_ep40_batch128_16ctx.yaml"
    checkpoint_folder = "VLPromptLearner"
    defaults = {
        "N_CTX": Setting(16, between(1, 76), "number of prompts in each layer"),
        "CTX_INIT": Setting(
            "a photo of a", meaning="words to start from, with at most four context vectors; more start at random"
        ),
        "PROMPT_DEPTH": Setting(
            AUTO, or_auto(at_least(2)), "number of layers with prompts of their own; auto: all of the shallower encoder"
        ),
        "CROSS_LAYER": Setting(
            AUTO,
            or_auto(at_least(1)),
            "k, the last layer where text prompts shape image prompts; auto: half of the depth",
        ),
        "LAMBD": Setting(12.0, at_least(0), "weight of the distances to frozen CLIP's features", symbol="λ"),
        "TEXTS": texts_setting(),
        "PREC": precision("fp16"),
    }

    def before_train(self) -> None:
        with self.precision.context():
            self.method.text_knowledge()  # faults of the texts are reported before the first step
        super().before_train()
