"""The residual attention block of CLIP's transformers (Radford et al., 2021), with OpenAI's parameter names.

Letters used in the shapes of this package: N sequences, L positions, D width, H heads, d = D / H, and
B images, C classes, T text positions, P positions of a shared prefix, K learned tokens, E embedding size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Update = Callable[[str, Tensor], Tensor | None]
"""Addition to the projections of one attention, per token: "q", "k", "v" or "o", and the rows that the
projection reads (..., L, D) -> delta (..., L, D), or nothing."""

TokenBranch = Callable[[Tensor], Tensor]
"""Addition to one block's output: normed block input (..., L, D) -> delta (..., L, D), per token."""


POSITIONS = 77
"""Text positions of every OpenAI encoder."""


def causal_mask(positions: int, device: torch.device | None = None) -> Tensor:
    """Return a mask (L, L) to add to attention scores, so that no row attends to a later one."""
    return torch.full((positions, positions), float("-inf"), device=device).triu(1)


class LayerNorm(nn.LayerNorm):
    """Layer norm that computes in float32 whatever the input's type, and returns the input's type."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the activation OpenAI's weights were trained with."""

    def forward(self, x: Tensor) -> Tensor:
        # As y * sigmoid(y) / 1.702, y = 1.702 x, autograd keeps one tensor of the widest kind there is and not two.
        y = 1.702 * x
        return F.silu(y, inplace=not y.requires_grad).mul_(1 / 1.702)


class Attention(nn.Module):
    """Multi-head self-attention with the parameter names of `nn.MultiheadAttention`.

    The steps are separate so that an encoder may share keys and values between sequences or read few rows.

    Attributes:
        update: a method's temporary addition to the projections (`clip.substitute.with_updates`).
    """

    update: Update | None = None

    def __init__(self, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be divided among {heads} heads")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def split_heads(self, x: Tensor) -> Tensor:
        """(..., L, D) -> (..., H, L, d)"""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def merge_heads(self, x: Tensor) -> Tensor:
        """(..., H, L, d) -> (..., L, D)"""
        return x.transpose(-3, -2).flatten(-2)

    def query(self, x: Tensor) -> Tensor:
        """(..., L, D) -> (..., L, D)"""
        width = x.shape[-1]
        return self._updated(x, ("q", F.linear(x, self.in_proj_weight[:width], self.in_proj_bias[:width])))[0]

    def key_value(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., L, D) -> keys and values, each (..., L, D)"""
        width = x.shape[-1]
        k, v = F.linear(x, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, dim=-1)
        return self._updated(x, ("k", k), ("v", v))

    def query_key_value(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., L, D) -> queries, keys and values, each (..., L, D), by one matrix product"""
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        return self._updated(x, ("q", q), ("k", k), ("v", v))

    def project_out(self, mixed: Tensor) -> Tensor:
        """(..., L, D) -> (..., L, D), the output projection."""
        return self._updated(mixed, ("o", self.out_proj(mixed)))[0]

    def _updated(self, x: Tensor, *projected: tuple[str, Tensor]) -> tuple[Tensor, ...]:
        """Projections of the rows x by name, with what a method adds to them."""
        if self.update is None:
            return tuple(value for _, value in projected)
        added = [(value, self.update(name, x)) for name, value in projected]
        return tuple(value if delta is None else value + delta.to(value.dtype) for value, delta in added)

    def forward(
        self,
        x: Tensor,
        causal: bool = False,
        read: int | None = None,
        beside: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Mix the rows of each sequence.

        Args:
            x: (N, L, D), normed.
            causal: a row attends only to itself and the rows before it.
            read: compute only the first `read` rows; excludes `causal`.
            beside: (K, D) or (N, K, D), further normed rows to attend to, not mixed themselves; excludes `causal`.
            mask: (L, L), added to the scores; excludes the others.

        Returns:
            (N, read or L, D), after the output projection.
        """
        if read is None and beside is None:
            q, k, v = self.query_key_value(x)
        else:
            q, (k, v) = self.query(x[..., :read, :]), self.key_value(x)
        if beside is not None:
            k, v = (_append(own, other) for own, other in zip((k, v), self.key_value(beside), strict=True))
        q, k, v = (self.split_heads(part) for part in (q, k, v))
        return self.project_out(self.merge_heads(F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)))


def _append(x: Tensor, rows: Tensor) -> Tensor:
    """(N, L, D) and (K, D) or (N, K, D) -> (N, L + K, D)"""
    leading = torch.broadcast_shapes(x.shape[:-2], rows.shape[:-2])
    return torch.cat([part.expand(*leading, -1, -1) for part in (x, rows)], dim=-2)


class ResidualAttentionBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        d_model, n_head, attn_mask: OpenAI's names of the width D, the heads H and an additive mask (L, L).
        activation, mlp_width: of the feed-forward half.
        causal: whether the block is of a causal encoder.

    The mask and `causal` are of the sequence-first calls, `attention(x)` and the block called with x alone. Our
    encoders say `causal` in each call.
    """

    def __init__(
        self,
        d_model: int,
        n_head: int,
        attn_mask: Tensor | None = None,
        *,
        activation: type[nn.Module] = QuickGELU,
        mlp_width: int | None = None,
        causal: bool = False,
    ):
        super().__init__()
        inner = mlp_width or 4 * d_model
        self.causal, self._mask = causal, attn_mask
        self.attn = Attention(d_model, n_head)
        self.ln_1 = LayerNorm(d_model)
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(d_model, inner), gelu=activation(), c_proj=nn.Linear(inner, d_model))
        )
        self.ln_2 = LayerNorm(d_model)

    @property
    def attn_mask(self) -> Tensor | None:
        """The given mask or, in a causal block, OpenAI's (77, 77); it may be replaced, as in OpenAI's code."""
        if not self.causal:
            return self._mask
        return causal_mask(POSITIONS, self.ln_1.weight.device)

    @attn_mask.setter
    def attn_mask(self, mask: Tensor | None) -> None:
        self.causal, self._mask = False, mask

    def attention(self, x: Tensor) -> Tensor:
        """The block's attention alone, as plugin files call it: (L, N, D), normed -> (L, N, D)."""
        mask = None if self._mask is None else self._mask[..., -len(x) :, -len(x) :].to(x)
        return self.attn(x.transpose(0, 1), self.causal, mask=mask).transpose(0, 1)

    def finish(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Both residuals, of attention already mixed and projected and of the second half: (..., L, D) each."""
        x = x + mixed
        return x + self.mlp(self.ln_2(x))

    def forward(
        self,
        x: Tensor,
        causal: bool | None = None,
        read: int | None = None,
        branch: TokenBranch | None = None,
        beside: Tensor | None = None,
    ) -> Tensor:
        """(N, L, D) -> (N, read or L, D); `branch` adds a method's delta, the rest is as in `Attention`.

        Neither x nor `beside` comes normed.

        With x alone it is the call of plugin files that loop over OpenAI's blocks: (L, N, D) -> (L, N, D).
        """
        if causal is None:
            return self.finish(x, self.attention(self.ln_1(x)))
        normed = self.ln_1(x)
        mixed = self.attn(normed, causal, read, None if beside is None else self.ln_1(beside))
        out = self.finish(x[..., :read, :], mixed)
        return out if branch is None else out + branch(normed[..., :read, :])
