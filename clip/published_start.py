"""The random numbers that OpenAI's CLIP draws while it is built, before its weights replace them.

A method draws its start values, such as a context, afterwards from the same generator. Drawing as many numbers here
gives a file written for OpenAI's package the same start values under the same seed.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from clip.block import Attention
from clip.resnet import AttentionPool2d
from clip.vision import VisionTransformer


def draw_as_published(model: nn.Module) -> None:
    """Advance torch's generator for the CPU as the constructor of OpenAI's CLIP of this shape does.

    The numbers are thrown away: a second or so for a ViT-B/16, as there.
    """
    for parameter in _uniform(model):
        torch.empty(parameter.shape).uniform_()
    for parameter in _normal(model):
        torch.empty(parameter.shape).normal_()


def _uniform(model: nn.Module) -> Iterator[Tensor]:
    """PyTorch's own start values of its layers."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield from module.parameters()
        elif isinstance(module, Attention):
            yield module.in_proj_weight


def _normal(model: nn.Module) -> Iterator[Tensor]:
    """PyTorch's and then OpenAI's start values of embeddings and projections, OpenAI's of the text encoder's blocks."""
    yield from (model.token_embedding.weight, model.token_embedding.weight)
    yield from (model.positional_embedding, model.text_projection)
    if isinstance(model.visual, VisionTransformer):
        yield from (model.visual.class_embedding, model.visual.positional_embedding, model.visual.proj)
    for block in model.transformer.resblocks:
        yield from (block.attn.in_proj_weight, block.attn.out_proj.weight)
        yield from (block.mlp.c_fc.weight, block.mlp.c_proj.weight)
    for pool in (module for module in model.modules() if isinstance(module, AttentionPool2d)):
        yield pool.positional_embedding
        yield from (linear.weight for linear in (pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj))
