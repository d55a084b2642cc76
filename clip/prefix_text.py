"""Fast text encoder: computes the prompts' shared prefix once; the suffixes attend to its keys and values.

It is exact for every method whose deep tokens lie in the prefix and whose branch is per token, as the mask is causal:
 - tokens after the end token change nothing and are left out;
 - the prefix does not depend on the class and is computed once;
 - layers below the first learned token are computed once, by `forward_until`;
 - at the top layer only the end token's row is computed.
G is the number of groups: 1, or one per image or run where each has a prefix of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from clip.block import Attention, ResidualAttentionBlock, TokenBranch
from clip.deep_tokens import DeepBranch, DeepTokens, branch_at, write_tokens
from clip.prompt_batch import Bucket, PromptBatch
from clip.transformer import Paused

if TYPE_CHECKING:
    from clip.model import CLIP


class PromptStates(NamedTuple):
    """States of a prompt batch at the input of a block.

    Attributes:
        prompts: which rows are what.
        prefix: (G, 1, P, D), or (G, C, P, D) once tokens differ between classes.
        suffix: (G, R, D), the rows of all suffixes, bucket by bucket.
    """

    prompts: PromptBatch
    prefix: Tensor
    suffix: Tensor


class PrefixTextEncoder:
    """Encodes class prompts, their shared prefix once.

    Args:
        clip: the model whose text encoder is used; its parameters stay where they are.
    """

    def __init__(self, clip: CLIP):
        self.clip = clip

    def embed(self, prompts: PromptBatch, context: Tensor | None = None, branch: DeepBranch | None = None) -> Paused:
        """The prompts at the input of the first block; `context` (G, N, D) fills their slots, group by group."""
        shared, added = prompts.prefix, branch_at(branch, 0)
        positions = torch.arange(shared, device=prompts.ids.device)
        prefix = self.clip.embed_text(prompts.ids[0, :shared], positions, prompts.slots[0, :shared], context, added)
        rows = (prompts.suffix_ids, prompts.suffix_positions, prompts.suffix_slots)
        suffix = self.clip.embed_text(*rows, context, added)
        return Paused(PromptStates(prompts, prefix[:, None], suffix), 1)

    def forward_until(
        self, prompts: PromptBatch, to: int, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Paused:
        """Run the encoder up to the input of block `to` (1-based)."""
        states = self.embed(prompts, branch=branch).states
        for layer in range(1, to):
            states = self._step(states, layer, tokens, branch)
        return Paused(states, to)

    def forward_from(
        self, paused: Paused, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Tensor:
        """Continue to the top: (C, E), or (G, C, E) with more than one group; not normalised."""
        states, top = paused.states, self.clip.transformer.layers
        for layer in range(paused.layer, top):
            states = self._step(states, layer, tokens, branch)
        block = self.clip.transformer.resblocks[top - 1]
        prefix = write_tokens(states.prefix, top, tokens)
        ends = self._read_ends(block, states._replace(prefix=prefix), branch_at(branch, top))  # (G, C, D)
        features = self.clip.ln_final(ends) @ self.clip.text_projection
        return features[0] if len(features) == 1 else features

    def encode(
        self,
        prompts: PromptBatch,
        tokens: DeepTokens | None = None,
        branch: DeepBranch | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """Features of the prompts, (C, E), or (G, C, E) with a context of more than one group; not normalised."""
        return self.forward_from(self.embed(prompts, context, branch), tokens, branch)

    def _step(
        self, states: PromptStates, layer: int, tokens: DeepTokens | None, branch: DeepBranch | None
    ) -> PromptStates:
        """Write the tokens of block `layer` and run it."""
        block, prefix = self.clip.transformer.resblocks[layer - 1], write_tokens(states.prefix, layer, tokens)
        return self.through(block, states._replace(prefix=prefix), branch_at(branch, layer))

    def through(self, block: ResidualAttentionBlock, states: PromptStates, added: TokenBranch | None) -> PromptStates:
        """Prefix and suffixes through a block."""
        attn, prompts, prefix, suffix = block.attn, *states
        normed = block.ln_1(prefix)
        q, k, v = (attn.split_heads(part) for part in attn.query_key_value(normed))
        mixed = attn.merge_heads(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        new_prefix = _finish(block, prefix, normed, mixed, added)
        normed = block.ln_1(suffix)
        mixed = self.mix(attn, prompts, (k, v), *attn.query_key_value(normed))
        return PromptStates(prompts, new_prefix, _finish(block, suffix, normed, mixed, added))

    def _read_ends(self, block: ResidualAttentionBlock, states: PromptStates, added: TokenBranch | None) -> Tensor:
        """The end tokens' rows after the top block, (G, C, D): nothing reads the others."""
        attn, prompts = block.attn, states.prompts
        memory = tuple(attn.split_heads(part) for part in attn.key_value(block.ln_1(states.prefix)))
        normed = block.ln_1(states.suffix)
        keys, values = attn.key_value(normed)
        end_rows = torch.cat(
            [
                b.rows.start + b.length * torch.arange(len(b.ends), device=b.ends.device) + b.ends
                for b in prompts.buckets
            ]
        )
        end_normed = normed[:, end_rows]  # (G, C, D) in bucket order
        mixed = self.mix(attn, prompts, memory, attn.query(end_normed), keys, values, ends_only=True)
        ends = _finish(block, states.suffix[:, end_rows], end_normed, mixed, added)
        return ends[:, torch.argsort(prompts.order)]

    def mix(
        self,
        attn: Attention,
        prompts: PromptBatch,
        memory: tuple[Tensor, Tensor],
        q: Tensor,
        k: Tensor,
        v: Tensor,
        ends_only: bool = False,
    ) -> Tensor:
        """Rows of all suffixes attend to the prefix and, causally, to their own suffix.

        Args:
            memory: prefix keys and values, each (G, 1 or C, H, P, d).
            q: (G, R, D), or the end tokens' rows alone, (G, C, D) in bucket order; k, v: (G, R, D).

        Returns:
            The shape of q, before the output projection.
        """
        buckets = prompts.buckets
        queries = q.split([len(b.ends) * (1 if ends_only else b.length) for b in buckets], dim=1)
        keys, values = (_by_bucket(part, buckets) for part in (k, v))
        mixed = [
            _attend(attn, b, memory, own.unflatten(1, (len(b.ends), -1)), *kv, b.ends[:, None] if ends_only else None)
            for b, own, *kv in zip(buckets, queries, keys, values, strict=True)
        ]
        return torch.cat([part.flatten(1, 2) for part in mixed], dim=1)


def _finish(
    block: ResidualAttentionBlock, x: Tensor, normed: Tensor, mixed: Tensor, added: TokenBranch | None
) -> Tensor:
    """A block's residuals around attention already mixed, any leading shape."""
    out = block.finish(x, block.attn.project_out(mixed))
    return out if added is None else out + added(normed)


def _by_bucket(x: Tensor, buckets: Sequence[Bucket]) -> list[Tensor]:
    """(G, R, D) -> for each bucket its rows, (G, Cb, S, D); one split, whose gradient is one concatenation."""
    rows = x.split([len(bucket.ends) * bucket.length for bucket in buckets], dim=1)
    return [part.unflatten(1, (-1, bucket.length)) for part, bucket in zip(rows, buckets, strict=True)]


def _attend(
    attn: Attention,
    bucket: Bucket,
    memory: tuple[Tensor, Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_rows: Tensor | None = None,
) -> Tensor:
    """Suffix rows attend to the prefix and, causally, to their own suffix.

    Args:
        memory: prefix keys and values, each (G, 1 or C, H, P, d).
        q: (G, Cb, Q, D); k, v: (G, Cb, S, D).
        q_rows: (Cb, Q) row of each query within its suffix; by default Q = S, all rows.

    Returns:
        (G, Cb, Q, D), before the output projection.
    """
    shared = memory[0].shape[1] == 1
    prefix_k, prefix_v = (part if shared else part[:, bucket.classes] for part in memory)
    q, k, v = (attn.split_heads(part) for part in (q, k, v))  # (G, Cb, H, Q or S, d)
    q = q * q.shape[-1] ** -0.5
    own = torch.arange(bucket.length, device=q.device)
    rows = own[None] if q_rows is None else q_rows
    hidden = own > rows[..., None]  # (1 or Cb, Q, S)
    scores = [
        _fold(q, shared) @ prefix_k.transpose(-1, -2),
        (q @ k.transpose(-1, -2)).masked_fill(hidden[:, None], float("-inf")),
    ]
    scores[0] = _unfold(scores[0], q, shared)
    weights = torch.cat(scores, dim=-1).softmax(dim=-1).to(v.dtype)
    over_prefix, over_own = weights.split([prefix_k.shape[-2], bucket.length], dim=-1)
    return attn.merge_heads(_unfold(_fold(over_prefix, shared) @ prefix_v, q, shared) + over_own @ v)


def _fold(x: Tensor, shared: bool) -> Tensor:
    """(G, Cb, H, Q, n) -> (G, 1, H, Cb * Q, n): with a shared prefix all classes are one matrix product."""
    return x.transpose(1, 2).flatten(2, 3)[:, None] if shared else x


def _unfold(x: Tensor, like: Tensor, shared: bool) -> Tensor:
    """Undo `_fold`: (G, 1, H, Cb * Q, n) -> (G, Cb, H, Q, n)."""
    return x[:, 0].unflatten(2, (like.shape[1], like.shape[3])).transpose(1, 2) if shared else x
