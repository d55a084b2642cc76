"""CLIP once more, as plainly as it can be written: whole sequences, block after block, from the weights alone.

The oracle of `trainers/test_plain_methods.py`. Nothing here comes from `clip/` or `trainers/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Put = Callable[[int, Tensor], Tensor]
"""(layer, its input) -> what goes in instead; layer 0 is the image encoder's embedded input."""
Add = Callable[[int, Tensor], Tensor | float]
"""(layer, what its attention reads) -> what is added to its output; layer 0: the image encoder after its first norm."""


def keep(layer: int, x: Tensor) -> Tensor:
    return x


def nothing(layer: int, normed: Tensor) -> float:
    return 0.0


class PlainCLIP:
    """A CLIP with a vision transformer.

    Args:
        weights: as in OpenAI's archives; they may have any floating type.
    """

    def __init__(self, weights: Mapping[str, Tensor]):
        self.w = {name: value.double() for name, value in weights.items()}
        self.scale = self.w["logit_scale"].exp()

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def block(self, name: str, x: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
        """The block's output, and what its attention read."""
        normed = self.norm(x, f"{name}.ln_1")
        packed = F.linear(normed, self.w[f"{name}.attn.in_proj_weight"], self.w[f"{name}.attn.in_proj_bias"])
        q, k, v = (part.unflatten(-1, (-1, 64)).transpose(1, 2) for part in packed.chunk(3, dim=-1))
        scores = q @ k.transpose(-1, -2) / 8
        if causal:
            scores = scores + torch.full(scores.shape[-2:], float("-inf"), dtype=scores.dtype).triu(1)
        mixed = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        x = x + self.linear(mixed, f"{name}.attn.out_proj")
        hidden = self.linear(self.norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")
        return x + self.linear(hidden * torch.sigmoid(1.702 * hidden), f"{name}.mlp.c_proj"), normed

    def depth(self, encoder: str) -> int:
        return sum(name.startswith(f"{encoder}transformer") and name.endswith("ln_1.weight") for name in self.w)

    def run(self, encoder: str, x: Tensor, put: Put, add: Add, causal: bool) -> Tensor:
        for layer in range(1, self.depth(encoder) + 1):
            out, normed = self.block(f"{encoder}transformer.resblocks.{layer - 1}", put(layer, x), causal)
            x = out + add(layer, normed)
        return x

    def text_output(self, embedded: Tensor, ends: Tensor, put: Put = keep, add: Add = nothing) -> Tensor:
        """Features (C, E), of any length, of embedded prompts (C, T, D); `ends`: place of each end token."""
        x = self.run("", embedded + self.w["positional_embedding"], put, add, causal=True)
        return self.norm(x, "ln_final")[torch.arange(len(x)), ends] @ self.w["text_projection"]

    def text(self, embedded: Tensor, ends: Tensor, put: Put = keep, add: Add = nothing) -> Tensor:
        """The same, normalized."""
        return F.normalize(self.text_output(embedded, ends, put, add), dim=-1)

    def image(self, images: Tensor, put: Put = keep, add: Add = nothing) -> Tensor:
        """Return the image encoder's output, (B, L, D), before the projection."""
        kernel = self.w["visual.conv1.weight"]
        x = F.conv2d(images, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
        x = torch.cat([self.w["visual.class_embedding"].expand(len(x), 1, -1), x], dim=1)
        x = self.norm(put(0, x + self.w["visual.positional_embedding"]), "visual.ln_pre")
        x = x + add(0, x)
        return self.norm(self.run("visual.", x, put, add, causal=False), "visual.ln_post")

    def image_output(self, images: Tensor, put: Put = keep, add: Add = nothing) -> Tensor:
        """Features (B, E) of the class token, of any length."""
        return self.image(images, put, add)[:, 0] @ self.w["visual.proj"]

    def image_features(self, images: Tensor, put: Put = keep, add: Add = nothing) -> Tensor:
        """The same, normalized."""
        return F.normalize(self.image_output(images, put, add), dim=-1)
