"""CLIP's blocks as the published code of these methods computes them, for the plain side of a comparison."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clip.block import ResidualAttentionBlock, TokenBranch
from clip.full_vision import adopt
from clip.transformer import Transformer


class PublishedBlock(ResidualAttentionBlock):
    """A block with PyTorch's multi-head attention, positions first, a mask of numbers, and x * sigmoid(1.702 x).

    Same calls, same weights as the block it is made of.
    """

    def __init__(self, block: ResidualAttentionBlock):
        nn.Module.__init__(self)
        self.causal = block.causal
        adopt(self, block)

    def forward(
        self, x: Tensor, causal: bool | None = None, read: int | None = None, branch: TokenBranch | None = None
    ) -> Tensor:
        """(N, L, D) -> (N, L, D), in memory (L, N, D); every row is computed, whatever is read."""
        x = x.transpose(0, 1).contiguous()  # a copy only where tokens were put in
        normed, attn = self.ln_1(x), self.attn
        mask = _causal_mask(len(x), x.device).to(x.dtype) if causal else None
        ours = attn.in_proj_weight, attn.in_proj_bias, None, None, False, 0.0, attn.out_proj.weight, attn.out_proj.bias
        mixed, _ = F.multi_head_attention_forward(
            normed, normed, normed, x.shape[-1], attn.heads, *ours, need_weights=False, attn_mask=mask
        )
        x = x + mixed
        wide = self.mlp.c_fc(self.ln_2(x))
        x = x + self.mlp.c_proj(wide * torch.sigmoid(1.702 * wide))
        return (x if branch is None else x + branch(normed)).transpose(0, 1)


def publish(encoder: Transformer) -> None:
    """Replace the blocks of an encoder."""
    for index, block in enumerate(encoder.resblocks):
        encoder.resblocks[index] = PublishedBlock(block)


@lru_cache
def _causal_mask(length: int, device: torch.device) -> Tensor:
    return torch.full((length, length), float("-inf"), device=device).triu(1)
