"""The frozen CLIP that all methods build on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from clip.model import CLIP
from clip.prefix_text import PrefixTextEncoder
from clip.prompt_batch import PromptBatch
from clip.resnet import ModifiedResNet
from clip.tokenizer import tokenize
from clip.vision import VisionTransformer
from dassl.config import ConfigError

_shared: dict[str, CLIP] | None = None


@contextmanager
def one_copy_of_weights() -> Iterator[None]:
    """Share one copy of the frozen weights among the runs that are built in this block."""
    global _shared
    _shared = {}
    try:
        yield
    finally:
        _shared = None


def hold_newest(key: str, load: Callable[[], CLIP]) -> None:
    """Load weights for processes that will be forked from this one; weights loaded before are released."""
    global _shared
    if not _shared or key not in _shared:
        _shared = {}  # before the next are loaded: two may be too large
        load_once(key, load)


def unknown_note(backbone: str, unknown: Sequence[str], count: int) -> str:
    """Return a warning about class names that a CLIP does not know, of `count`."""
    shown = ", ".join(unknown[:5]) + (" ..." if len(unknown) > 5 else "")
    return (
        f"{backbone} does not know {len(unknown)} of the {count} class names and cannot tell them apart: {shown}. Name "
        f"them by common words in the singular (classnames.txt, --classes), or use a CLIP that knows more, such as "
        f"--backbone ViT-B/16"
    )


def vit_wanted(what: str) -> str:
    """Return the message for a backbone that is a ResNet."""
    return f"{what} works inside a vision transformer: set MODEL.BACKBONE.NAME (--backbone) to a ViT, not a ResNet"


def load_once(key: str, load: Callable[[], CLIP]) -> CLIP:
    """Return the result of `load`; within `one_copy_of_weights` only the first call of a key loads."""
    if _shared is None:
        return load()
    if key not in _shared:
        _shared[key] = load()
    return _shared[key]


class FrozenCLIP:
    """A CLIP whose weights do not train, with its two encoders at hand.

    Not a module: a method may keep it without owning its parameters.

    Attributes:
        visual: the image encoder; text: the prefix-sharing text encoder.
        embed_dim: E; logit_scale: the trained temperature, exp of the stored value.
    """

    def __init__(self, model: CLIP, device: torch.device):
        self.model = model.to(device).requires_grad_(False).eval()
        self.device = device
        self.visual: VisionTransformer | ModifiedResNet = model.visual
        self.text = PrefixTextEncoder(model)
        self.embed_dim = model.text_projection.shape[1]
        self._beside: dict[str, FrozenCLIP] = {}

    def beside(self, key: str, load: Callable[[], CLIP]) -> FrozenCLIP:
        """Return another frozen CLIP, such as a teacher; loaded once for all methods that are built on this one."""
        if key not in self._beside:
            self._beside[key] = FrozenCLIP(load_once(key, load), self.device)
        return self._beside[key]

    @cached_property
    def logit_scale(self) -> float:
        return float(self.model.logit_scale.exp())

    def images(self, images: Tensor) -> Tensor:
        """Images in the type the image encoder takes."""
        return images.to(self.model.dtype)

    @torch.no_grad()
    def image_features(self, images: Tensor) -> Tensor:
        """f_0, normalized features (B, E) of images (B, 3, S, S), or of their rows (B, D), as CLIP sees them."""
        features = self.image_output(images)
        return features / features.norm(dim=-1, keepdim=True)

    @torch.no_grad()
    def image_output(self, images: Tensor) -> Tensor:
        """Image features (B, E), of any length, of images (B, 3, S, S) or of their rows (B, D)."""
        return self.project(images if images.ndim == 2 else self.pool(images))

    @torch.no_grad()
    def pool(self, images: Tensor) -> Tensor:
        """Rows (B, D) of images (B, 3, S, S): what the image encoder's projection reads."""
        return self.visual.pool(self.images(images))

    @torch.no_grad()
    def project(self, pooled: Tensor) -> Tensor:
        """Image features (B, E) of any length, of rows (B, D)."""
        return self.visual.project(pooled.to(self.visual.projection.dtype))

    @cached_property
    def fingerprint(self) -> str:
        """Return a checksum over all weights of the image encoder."""
        found = hashlib.sha256()
        for name, weights in sorted(self.visual.state_dict().items()):
            found.update(name.encode())
            found.update(weights.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return found.hexdigest()

    def unknown_names(self, classnames: Sequence[str]) -> list[str]:
        """Return the names with words that this CLIP has no embedding for; a small CLIP cannot distinguish them."""
        known = self.model.token_embedding.weight.any(dim=1)
        if known.all():
            return []
        ids = tokenize([name.replace("_", " ") for name in classnames], self.model.context_length, truncate=True)
        rows = [row[1 : row.argmax()].to(known.device) for row in ids]  # between the start and the end token
        return [name for name, row in zip(classnames, rows, strict=True) if not known[row].any()]

    def prompts(self, classnames: Sequence[str], template: str, spaces: bool = True) -> PromptBatch:
        """Tokenised class prompts; with `spaces`, underscores in names become spaces."""
        texts = [template.format(name.replace("_", " ") if spaces else name) for name in classnames]
        return PromptBatch(tokenize(texts, context_length=self.model.context_length), device=self.device)

    @torch.no_grad()
    def prompt_features(self, classnames: Sequence[str], template: str) -> Tensor:
        """Return text features (C, E) of the class prompts, not normalised."""
        return self.text.encode(self.prompts(classnames, template))

    @torch.no_grad()
    def zero_shot_weights(self, classnames: Sequence[str], templates: Sequence[str]) -> Tensor:
        """Normalized text features (C, E): the mean over templates of normalized features, normalized again."""
        features = [F.normalize(self.prompt_features(classnames, t), dim=-1) for t in templates]
        return F.normalize(torch.stack(features).mean(dim=0), dim=-1)

    def require_vit(self, what: str) -> VisionTransformer:
        """Return the image encoder of a method that works inside a vision transformer.

        Raises:
            dassl.config.ConfigError: the backbone is a ResNet.
        """
        if not isinstance(self.visual, VisionTransformer):
            raise ConfigError(vit_wanted(what))
        return self.visual
