"""Low-rank updates of attention projections (Hu et al., LoRA, ICLR 2022), as CLIP-LoRA has them.

A projection W (D, D) of chosen blocks of an encoder becomes W + alpha / sqrt(r) B A, A (r, D) at random, B (D, r) zero
at the start. Note the root: the scale is not alpha / r.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.block import Attention, Update
from clip.model import CLIP
from clip.prompt_batch import PromptBatch
from clip.substitute import with_updates, with_weights
from dassl.config import ConfigError
from trainers.base.frozen_clip import FrozenCLIP

PUBLISHED_DEPTH = 12
POSITIONS = {  # 1-based blocks of an encoder of twelve blocks; a deeper one is divided in the same way
    "all": lambda depth: range(1, depth + 1),
    "top3": lambda depth: range(depth - 2, depth + 1),
    "bottom": lambda depth: range(1, depth // 3 + 1),
    "mid": lambda depth: range(depth // 3 + 1, 2 * depth // 3 + 1),
    "up": lambda depth: range(2 * depth // 3 + 1, depth + 1),
    "half-up": lambda depth: range(depth // 2 + 1, depth + 1),
    "half-bottom": lambda depth: range(1, depth // 2 + 1),
}
ENCODERS = {"both": ("visual.", ""), "vision": ("visual.",), "text": ("",)}
"""Prefixes of the names of an encoder's blocks in CLIP."""
PROJECTIONS = ("q", "k", "v", "o")


def blocks_at(position: str, depth: int) -> list[int]:
    """Return the blocks of a position, counted from 1; a shallower encoder has fewer of the published ones."""
    return [layer for layer in POSITIONS[position](max(depth, PUBLISHED_DEPTH)) if layer <= depth]


class LowRank(nn.Module):
    """A (r, D) and B (D, r) of one projection."""

    def __init__(self, width: int, rank: int):
        super().__init__()
        self.A, self.B = nn.Parameter(torch.empty(rank, width)), nn.Parameter(torch.zeros(width, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))


class LowRankUpdates(nn.Module):
    """All updates of a CLIP.

    Args:
        clip: the model; its own weights are not changed.
        position: of POSITIONS; encoder: of ENCODERS; projections: some of PROJECTIONS.
        rank, alpha: r and alpha; dropout: its probability on the input of A, in training.
    """

    def __init__(
        self,
        clip: CLIP,
        rank: int,
        alpha: float,
        projections: tuple[str, ...] = ("q", "k", "v"),
        position: str = "all",
        encoder: str = "both",
        dropout: float = 0.0,
    ):
        super().__init__()
        if not projections:
            raise ConfigError(f"PARAMS is empty: nothing would train; name some of {', '.join(PROJECTIONS)}")
        self._frozen = (clip,)  # no part of this module
        self.scale, self.dropout = alpha / math.sqrt(rank), dropout
        self.merged: dict[str, dict[str, Tensor]] = {}
        self.places: dict[str, tuple[str, Attention]] = {}  # place -> the attention's name in CLIP, and it
        self.updates = nn.ModuleDict()
        for prefix in ENCODERS[encoder]:
            blocks = (clip.visual if prefix else clip).transformer.resblocks
            for layer in blocks_at(position, len(blocks)):
                attention = blocks[layer - 1].attn
                place = f"{'image' if prefix else 'text'}-{layer - 1}"
                self.places[place] = f"{prefix}transformer.resblocks.{layer - 1}.attn", attention
                for projection in projections:
                    self.updates[f"{place}-{projection}"] = LowRank(attention.out_proj.in_features, rank)
        if not self.updates:
            raise ConfigError(f"POSITION {position!r} names no block that this CLIP has: nothing would train")

    def published_name(self, name: str) -> str:
        """updates.image-0-q.A -> visual.transformer.resblocks.0.attn.q_proj.w_lora_A"""
        _, key, matrix = name.rsplit(".", 2)
        place, _, projection = key.rpartition("-")
        return f"{self.places[place][0]}.{'proj' if projection == 'o' else f'{projection}_proj'}.w_lora_{matrix}"

    def train(self, mode: bool = True) -> LowRankUpdates:
        """Merge the updates into the weights once for prediction."""
        self.merged = {}
        return super().train(mode)

    def adapted(self, encoder: str) -> AbstractContextManager[None]:
        """Let the encoder "image" or "text" compute with its updates."""
        if self.drops:
            return with_updates(self.dropped(encoder))
        if self.training or torch.is_grad_enabled():
            return with_weights(self.frozen, self.weights(encoder))
        if encoder not in self.merged:
            self.merged[encoder] = self.weights(encoder)
        return with_weights(self.frozen, self.merged[encoder])

    @property
    def frozen(self) -> CLIP:
        """The model whose weights are updated."""
        return self._frozen[0]

    @property
    def drops(self) -> bool:
        """Return whether dropout is applied to the input of A now."""
        return self.training and self.dropout > 0

    def image_output(self, clip: FrozenCLIP, images: Tensor) -> Tensor:
        """Image features (B, E), of any length."""
        with self.adapted("image"):
            return clip.visual(clip.images(images))

    def class_output(self, clip: FrozenCLIP, prompts: PromptBatch) -> Tensor:
        """Text features (C, E), of any length. With dropout each prompt has masks of its own: no prefix is shared."""
        with self.adapted("text"):
            if not self.drops:
                return clip.text.encode(prompts)
            return clip.model.encode_text(prompts.ids[:, : int(prompts.ends.max()) + 1])

    @torch.no_grad()
    def settle(self) -> None:
        """Write the image encoder's updated weights into the CLIP for good, and forget all updates."""
        for name, weight in self.weights("image").items():
            self.frozen.get_parameter(name).copy_(weight)
        self.updates, self.places, self.merged = nn.ModuleDict(), {}, {}

    def weights(self, encoder: str) -> dict[str, Tensor]:
        """Updated weights by name in CLIP, of "image" or "text": what `clip.substitute.with_weights` takes."""
        found = {}
        for place, (name, attention) in self.places.items():
            if not place.startswith(encoder):
                continue
            deltas = {p: self.updates[f"{place}-{p}"] for p in PROJECTIONS if f"{place}-{p}" in self.updates}
            own = {p: attention.in_proj_weight.chunk(3)["qkv".index(p)] for p in "qkv"}
            if own.keys() & deltas.keys():
                parts = [self._updated(weight, deltas.get(p)) for p, weight in own.items()]
                found[f"{name}.in_proj_weight"] = torch.cat(parts)
            if "o" in deltas:
                found[f"{name}.out_proj.weight"] = self._updated(attention.out_proj.weight, deltas["o"])
        return found

    def _updated(self, weight: Tensor, update: LowRank | None) -> Tensor:
        return weight if update is None else weight + (self.scale * update.B @ update.A).to(weight.dtype)

    def dropped(self, encoder: str) -> Mapping[Attention, Update]:
        """Return the updates with dropout on the input of A, as `clip.substitute.with_updates` takes them."""
        return {
            attention: self._update(place) for place, (_, attention) in self.places.items() if place.startswith(encoder)
        }

    def _update(self, place: str) -> Update:
        def update(projection: str, x: Tensor) -> Tensor | None:
            key = f"{place}-{projection}"
            if key not in self.updates:
                return None
            low = self.updates[key]
            return self.scale * F.linear(F.linear(self.drop(key, x.to(low.A.dtype)), low.A), low.B)

        return update

    def drop(self, key: str, x: Tensor) -> Tensor:
        """Dropout on the rows that the update `key` reads."""
        return F.dropout(x, self.dropout, self.training)
