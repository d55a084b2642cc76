"""How a method puts learned tokens into the layers of a transformer.

A method never sees the whole sequence. It declares where its slots are and answers, layer by layer, what they
hold; everything else about the sequence is the encoder's business. That is what allows an encoder to compute
a shared prefix once: nothing outside the declared slots can depend on the method.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from clip.block import TokenBranch


class DeepTokens(Protocol):
    """Learned tokens of one encoder.

    Attributes:
        at: position of the first slot; None puts the slots behind the last position.
        count: number of slots K.
        grow_at: the layer at whose input the slots come into being (1 is the first block, 0 the embedded
            input before the image tower's first norm); None: they are part of the input sequence already.
    """

    at: int | None
    count: int
    grow_at: int | None

    def tokens(self, layer: int, previous: Tensor | None) -> Tensor | None:
        """What the slots hold at the input of block `layer`.

        Args:
            layer: 1-based index of the block about to run (0: see `grow_at`).
            previous: (..., K, D), what left the block below in the slots; None where they come into being.

        Returns:
            (K, D) for all sequences, (..., K, D) for each, or None to let the previous states flow on.
        """


class DeepBranch(Protocol):
    """A per-token addition to the output of chosen blocks."""

    def at_layer(self, layer: int) -> TokenBranch | None:
        """The branch of block `layer` (1-based), or None."""


def branch_at(branch: DeepBranch | None, layer: int) -> TokenBranch | None:
    """The branch of block `layer`, if there is any."""
    return None if branch is None else branch.at_layer(layer)


def write_tokens(x: Tensor, layer: int, source: DeepTokens | None) -> Tensor:
    """Put a source's tokens for block `layer` into the sequences entering it.

    Args:
        x: (..., L, D).
        layer: 1-based index of the block about to run.
        source: the learned tokens, or None.

    Returns:
        (..., L + K, D) at the layer where the slots come into being, else (..., L, D); the leading
        dimensions grow where the source gives different tokens to sequences that were one until here.
    """
    if source is None or (source.grow_at is not None and layer < source.grow_at):
        return x
    growing = layer == source.grow_at
    taken = 0 if growing else source.count
    first = x.shape[-2] - taken if source.at is None else source.at
    before, previous, after = x.split([first, taken, x.shape[-2] - first - taken], dim=-2)
    new = source.tokens(layer, None if growing else previous)
    if new is None:
        return x
    leading = torch.broadcast_shapes(x.shape[:-2], new.shape[:-2])
    parts = (part.to(x.dtype).expand(*leading, -1, -1) for part in (before, new, after))
    return torch.cat(list(parts), dim=-2)
