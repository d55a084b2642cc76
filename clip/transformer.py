"""The layer loop: write learned tokens, run the block, add a branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from clip.block import QuickGELU, ResidualAttentionBlock
from clip.deep_tokens import DeepBranch, DeepTokens, branch_at, write_tokens


class Paused(NamedTuple):
    """A forward pass stopped at the input of block `layer` (1-based), to be continued once or several times."""

    states: Any
    layer: int


Observe = Callable[[int, Tensor, DeepTokens | None], None]
"""Sees the input of block `layer` (1-based), (N, L, D), and the learned tokens that are among its rows."""


class Transformer(nn.Module):
    """A stack of residual attention blocks.

    Args:
        width, layers, heads: the shape of the stack.
        attn_mask: as OpenAI's stack takes it, (L, L), added to the scores of the sequence-first call.
        causal: rows attend only to themselves and to rows before them (the text encoder).
        activation, mlp_width: of the blocks' feed-forward halves, four times as wide as the stack by default.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        attn_mask: Tensor | None = None,
        *,
        causal: bool = False,
        activation: type[nn.Module] = QuickGELU,
        mlp_width: int | None = None,
    ):
        super().__init__()
        self.width, self.layers, self.causal = width, layers, causal
        self.resblocks = nn.Sequential(
            *(
                ResidualAttentionBlock(
                    width, heads, attn_mask, activation=activation, mlp_width=mlp_width, causal=causal
                )
                for _ in range(layers)
            )
        )

    def run(
        self,
        x: Tensor,
        first: int = 1,
        last: int | None = None,
        tokens: DeepTokens | None = None,
        branch: DeepBranch | None = None,
        read: int | None = None,
        observe: Observe | None = None,
    ) -> Tensor:
        """Run blocks `first` to `last` (1-based, inclusive; to the top by default).

        Args:
            x: (N, L, D), the input of block `first`.
            tokens, branch: what a method adds on the way.
            read: compute only the first `read` rows of the top block's output.
            observe: called with the input of each block.

        Returns:
            (N, L', D); L' counts slots that came into being, or is `read`.
        """
        last = self.layers if last is None else last
        for layer in range(first, last + 1):
            x = write_tokens(x, layer, tokens)
            if observe is not None:
                observe(layer, x, tokens)
            top = layer == self.layers
            x = self.resblocks[layer - 1](x, self.causal, read if top else None, branch_at(branch, layer))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(L, N, D) -> (L, N, D): the sequence-first call that plugin files written for OpenAI's CLIP make."""
        return self.resblocks(x)
