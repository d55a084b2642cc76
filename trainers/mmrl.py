"""MMRL: Multi-Modal Representation Learning for Vision-Language Models (Guo and Gu, CVPR 2025).

A learned space R (K, d_r) gives representation tokens to the upper layers of both encoders. The class token keeps
CLIP's frozen projection, the representation tokens have a learned one. The loss classifies by both image features and
keeps the class token's close to zero-shot CLIP; unseen classes are predicted by the class token alone. Equations:
docs/methods/mmrl.md.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.transformer import Paused
from dassl.config import ConfigError
from dassl.config.validators import Rule, at_least, between, is_number
from dassl.engine import TRAINER_REGISTRY
from trainers.base.method import Losses, Method, Term, cosine_distance, l2_normalize
from trainers.base.setting import Setting, precision
from trainers.base.trainer import ClipTrainer

LOGIT_SCALE = 100.0
"""Logits are 100 * cosine; the trained temperature is not used."""

LAYERS = Rule("layers, numbered from 1", lambda value: all(is_number(v) and v >= 1 for v in value))


class RepresentationTokens:
    """Deep tokens of one encoder, after its class or start token: R, mapped to each layer from J on.

    Args:
        space: R, (K, d_r).
        maps: one module per layer, R (K, d_r) -> tokens (K, D).
        layers: ascending, counted from 1; at other layers above J the tokens pass on from the layer below.
    """

    at = 1

    def __init__(self, space: Tensor, maps: Sequence[nn.Module], layers: Sequence[int]):
        self.space, self.count, self.grow_at = space, len(space), layers[0]
        self.maps = dict(zip(layers, maps, strict=True))

    def tokens(self, layer: int, previous: Tensor | None) -> Tensor | None:
        """Return M_i = R W_i^T + b_i, which replaces the output of the layer below at the tokens' positions."""
        return self.maps[layer](self.space) if layer in self.maps else None

    def replaced_at(self, layer: int) -> bool:
        return layer in self.maps


class MMRLMethod(Method):
    """R, an aligner for each modality (a linear map per layer), and a projection for the representation tokens."""

    published_names = (
        ("space", "representation_learner.compound_rep_tokens"),
        ("image_aligner.", "representation_learner.compound_rep_tokens_r2vproj."),
        ("text_aligner.", "representation_learner.compound_rep_tokens_r2tproj."),
        ("proj_rep", "image_encoder.proj_rep"),
    )
    former_names = (("image_maps.", "image_aligner."), ("text_maps.", "text_aligner."))
    rules = ("fused", "class token")
    inside_vit = True

    def __init__(self, settings, clip, task):
        super().__init__(settings, clip, task)
        visual, width = clip.visual, clip.model.transformer.width
        self.image_layers = rep_layers(settings.REP_LAYERS, visual.transformer.layers)
        self.text_layers = rep_layers(settings.REP_LAYERS, clip.model.transformer.layers)
        self.space = nn.Parameter(torch.empty(settings.N_REP_TOKENS, settings.REP_DIM).normal_(std=0.02))
        self.image_aligner = self.make_aligner(visual.transformer.width, len(self.image_layers))
        self.text_aligner = self.make_aligner(width, len(self.text_layers))
        self.make_rep_projection(visual.transformer.width, clip.embed_dim)
        self.prompts = clip.prompts(task.classnames, task.template)
        with torch.no_grad():
            self.text_start = clip.text.forward_until(self.prompts, to=self.text_layers[0])
            self.w_0 = l2_normalize(clip.text.forward_from(self.text_start))  # (C, E)

    def make_aligner(self, width: int, layers: int) -> nn.ModuleList:
        """Return the maps from R to some layers of an encoder of `width`, which start as copies of one."""
        first = nn.Linear(self.settings.REP_DIM, width)
        return nn.ModuleList(copy.deepcopy(first) for _ in range(layers))

    def make_rep_projection(self, width: int, embed_dim: int) -> None:
        """Create the representation tokens' projection into the shared embedding space."""
        self.proj_rep = nn.Parameter(torch.empty(width, embed_dim).normal_(std=width**-0.5))

    def rep_projection(self) -> Tensor:
        """Return the projection (D, E) of the representation tokens."""
        return self.proj_rep

    def deep_tokens(self, maps: nn.ModuleList, layers: Sequence[int]) -> RepresentationTokens:
        """Hook: the learned tokens of one encoder."""
        return RepresentationTokens(self.space, maps, layers)

    def class_features(self) -> Tensor:
        """w, normalized text features (C, E)."""
        return l2_normalize(
            self.clip.text.forward_from(self.text_start, self.deep_tokens(self.text_aligner, self.text_layers))
        )

    def image_features(self, shared: Paused) -> tuple[Tensor, Tensor]:
        """f_c and f_r, normalized features of class token and representation tokens, each (B, E)."""
        rows = self.clip.visual.forward_from(
            shared, self.deep_tokens(self.image_aligner, self.image_layers)
        )  # (B, 1 + K, D)
        f_c = rows[:, 0] @ self.clip.visual.proj
        f_r = rows[:, 1:].mean(dim=1) @ self.rep_projection().to(rows.dtype)
        return l2_normalize(f_c), l2_normalize(f_r)

    def adapted_features(self, images: Tensor) -> dict[str, Tensor]:
        features = self.image_features(self.forward_below_tokens(images))
        return dict(zip(("class token", "representation tokens"), features, strict=True))

    @torch.no_grad()
    def forward_below_tokens(self, images: Tensor) -> Paused:
        """Run the layers below the first token, which the tuned and the frozen pass share."""
        return self.clip.visual.forward_until(self.clip.images(images), to=self.image_layers[0])

    def losses(self, images: Tensor, labels: Tensor) -> Losses:
        """alpha CE(f_c) + (1 - alpha) CE(f_r) + lambda (distance of f_c to f_0 + distance of w to w_0)."""
        shared, w = self.forward_below_tokens(images), self.class_features()
        f_c, f_r = self.image_features(shared)
        with torch.no_grad():
            f_0 = l2_normalize(self.clip.visual.forward_from(shared)[:, 0] @ self.clip.visual.proj)
        class_logits, rep_logits = LOGIT_SCALE * f_c @ w.t(), LOGIT_SCALE * f_r @ w.t()
        alpha, weight = self.settings.ALPHA, self.settings.REG_WEIGHT
        terms = {
            "xe_main": Term(F.cross_entropy(class_logits, labels), alpha),
            "xe_rep": Term(F.cross_entropy(rep_logits, labels), 1 - alpha),
            "cos_img": Term(cosine_distance(f_c, f_0), weight),
            "cos_text": Term(cosine_distance(w, self.w_0), weight),
        }
        terms |= self.more_terms(f_c, f_r, w, labels)
        return Losses(terms, alpha * class_logits + (1 - alpha) * rep_logits)

    def more_terms(self, f_c: Tensor, f_r: Tensor, w: Tensor, labels: Tensor) -> dict[str, Term]:
        """Hook: loss terms that a method built on MMRL adds; f_c and f_r (B, E), w (C, E), labels (B,)."""
        return {}

    def logits(self, images: Tensor, class_features: Tensor, seen: Tensor) -> Tensor:
        """Return scores (B, C): seen classes by both features, mixed by alpha; others by the class token alone."""
        f_c, f_r = self.image_features(self.forward_below_tokens(images))
        w = class_features
        class_logits, rep_logits = LOGIT_SCALE * f_c @ w.t(), LOGIT_SCALE * f_r @ w.t()
        return self.predict(class_logits, rep_logits, seen)

    def predict(self, class_logits: Tensor, rep_logits: Tensor, seen: Tensor) -> Tensor:
        """Hook: scores (B, C) from both features' logits; `seen` as in `logits`."""
        alpha = self.settings.ALPHA
        return torch.where(seen, alpha * class_logits + (1 - alpha) * rep_logits, class_logits)


def rep_layers(given: Sequence[int], depth: int) -> list[int]:
    """The layers that get tokens: those given, or the upper half of an encoder of `depth` layers (12: 6 to 12).

    Raises:
        dassl.config.ConfigError: a layer that the backbone does not have, or one named twice or out of order.
    """
    layers = list(given) or list(range(max(1, depth // 2), depth + 1))
    if layers != sorted(set(layers)) or not 1 <= layers[0] <= layers[-1] <= depth:
        raise ConfigError(
            f"REP_LAYERS is {list(given)}; it must be ascending layers from 1 to {depth}, this backbone's depth "
            "([]: the upper half of each encoder)"
        )
    return layers


@TRAINER_REGISTRY.register()
class MMRL(ClipTrainer):
    """Trains MMRL with the engine's optimiser and schedule."""

    method_class = MMRLMethod
    settings_node = "MMRL"
    settings_source = "yunncheng/MMRL configs/trainers/MMRL/vit_b16.yaml, train.py"
    checkpoint_folder = "MultiModalRepresentationLearner"
    defaults = {
        "ALPHA": Setting(
            0.7,
            between(0, 1),
            "weight of the class token's term, in the loss and in the prediction; representation tokens: 1 - ALPHA",
            symbol="α",
        ),
        "REG_WEIGHT": Setting(
            1.0, at_least(0), "weight of the distance to zero-shot CLIP's features", search="0.1..10:log", symbol="λ"
        ),
        "N_REP_TOKENS": Setting(5, between(1, 75), "number of representation tokens", search="1..9", symbol="K"),
        "REP_LAYERS": Setting((), LAYERS, "layers with representation tokens; empty: the upper half"),
        "REP_DIM": Setting(512, at_least(1), "width of the shared representation space", symbol="d_r"),
        "PREC": precision("fp16"),
    }
