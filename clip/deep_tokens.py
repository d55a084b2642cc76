"""Learned tokens in the layers of a transformer.

A method never sees the whole sequence. It declares the positions of its tokens, the slots, and returns their content
layer by layer; the encoder handles the rest of the sequence. So an encoder may compute a shared prefix once: nothing
outside the declared slots can depend on the method.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from clip.block import TokenBranch


class DeepTokens(Protocol):
    """Learned tokens of one encoder.

    Attributes:
        at: position of the first slot; None puts the slots after the last position.
        count: number of slots K.
        grow_at: the layer at whose input the slots are created (1 is the first block, 0 the embedded
            input before the image encoder's first norm); None: they are part of the input sequence already.
    """

    at: int | None
    count: int
    grow_at: int | None

    def tokens(self, layer: int, previous: Tensor | None) -> Tensor | None:
        """Return the contents of the slots at the input of block `layer`.

        Args:
            layer: 1-based index of the block about to run (0: see `grow_at`).
            previous: (..., K, D), output of the block below in the slots; None at the layer that creates them.

        Returns:
            (K, D) for all sequences, (..., K, D) for each, or None to keep the previous states.
        """

    def replaced_at(self, layer: int) -> bool:
        """Return whether the tokens of block `layer` ignore `previous`, as at the layer that creates them."""


class DeepBranch(Protocol):
    """A per-token addition to the output of chosen blocks.

    Layer 0 is the embedding stage: in the text encoder the token embeddings without positions, in the image encoder the
    output of the first norm.
    """

    def at_layer(self, layer: int) -> TokenBranch | None:
        """The branch of block `layer` (1-based), or None; at layer 0 it reads, and adds to, the embedding stage."""


def branch_at(branch: DeepBranch | None, layer: int) -> TokenBranch | None:
    """The branch of block `layer`, if there is any."""
    return None if branch is None else branch.at_layer(layer)


def write_tokens(x: Tensor, layer: int, source: DeepTokens | None, empty: bool | None = None) -> Tensor:
    """Put a source's tokens for block `layer` into the sequences entering it.

    Args:
        x: (..., L, D).
        layer: 1-based index of the block about to run.
        source: the learned tokens, or None.
        empty: whether the sequences have no slots yet; by default so up to the layer that creates them.

    Returns:
        (..., L + K, D) where there were no slots, else (..., L, D); the leading dimensions grow where the
        source gives different tokens to sequences that were one until here.
    """
    if source is None or (source.grow_at is not None and layer < source.grow_at):
        return x
    empty = layer == source.grow_at if empty is None else empty
    before, previous, after = _around_slots(x, source, 0 if empty else source.count)
    new = source.tokens(layer, None if empty else previous)
    if new is None:
        return x
    leading = torch.broadcast_shapes(x.shape[:-2], new.shape[:-2])
    parts = (part.to(x.dtype).expand(*leading, -1, -1) for part in (before, new, after))
    return torch.cat(list(parts), dim=-2)


def drop_replaced(x: Tensor, layer: int, source: DeepTokens | None) -> Tensor:
    """Remove the slots whose content block `layer` would replace from the sequences entering it (..., L, D).

    Returns:
        (..., L - K, D), or x if there are no slots yet or the block uses their content.
    """
    if source is None or not source.replaced_at(layer) or (source.grow_at is not None and layer <= source.grow_at):
        return x
    before, _, after = _around_slots(x, source, source.count)
    return torch.cat([before, after], dim=-2)


def _around_slots(x: Tensor, source: DeepTokens, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(..., L, D) -> the rows before the first slot, those of `count` slots, and the rows after."""
    first = x.shape[-2] - count if source.at is None else source.at
    before, slots, after = x.split([first, count, x.shape[-2] - first - count], dim=-2)
    return before, slots, after
