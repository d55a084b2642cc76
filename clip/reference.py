"""Plain text encoder: every prompt passes all layers at full length. Tests compare the fast encoder with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from clip.deep_tokens import DeepBranch, DeepTokens, branch_at
from clip.prompt_batch import PromptBatch
from clip.transformer import Paused, Transformer


class TextModel(Protocol):
    """The parts of a CLIP that encode text (`clip.model.CLIP`)."""

    transformer: Transformer
    ln_final: nn.Module
    text_projection: Tensor
    embed_text: Callable[..., Tensor]


class FullTextEncoder:
    """Encodes each class prompt by itself; its calls are those of `PrefixTextEncoder`.

    Args:
        clip: the model whose text encoder is used; its parameters stay where they are.
    """

    def __init__(self, clip: TextModel):
        self.clip = clip

    def encode(
        self,
        prompts: PromptBatch,
        tokens: DeepTokens | None = None,
        branch: DeepBranch | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """Features of the prompts, (C, E), or (G, C, E) with a context of more than one group; not normalised."""
        clip = self.clip
        positions = torch.arange(prompts.ids.shape[1], device=prompts.ids.device)
        groups = clip.embed_text(prompts.ids, positions, prompts.slots, context, branch_at(branch, 0))
        features = [self._encode(x, prompts, tokens, branch) for x in groups]
        return features[0] if len(features) == 1 else torch.stack(features)

    def forward_until(
        self, prompts: PromptBatch, to: int, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Paused:
        """Keep the input: without sharing, `forward_from` computes everything."""
        return Paused(prompts, to)

    def forward_from(
        self, paused: Paused, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Tensor:
        """(C, E), from the first block on."""
        return self.encode(paused.states, tokens, branch)

    def _encode(self, x: Tensor, prompts: PromptBatch, tokens: DeepTokens | None, branch: DeepBranch | None) -> Tensor:
        """(C, T, D) -> (C, E)"""
        clip, length = self.clip, x.shape[-2]
        x = clip.transformer.run(x, tokens=tokens, branch=branch)  # (C, T or T + K, D)
        ends = prompts.ends + x.shape[-2] - length  # slots come into being before the end token
        x = clip.ln_final(x[torch.arange(len(x), device=x.device), ends])
        return x @ clip.text_projection
