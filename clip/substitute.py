"""Context managers that replace a model's weights, add to its attentions, or observe its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from clip.block import Attention, Update
from clip.transformer import Observe
from clip.vision import VisionTransformer


@contextmanager
def with_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a model compute with some parameters replaced in this block; gradients pass through the replacements.

    Args:
        model: any module, for example a CLIP or one of its encoders.
        weights: by the parameter's name in the model, tensors of its shape.

    Raises:
        KeyError: the model has no parameter of a name.
        ValueError: a tensor is of another shape than the parameter.
    """
    # torch.func.functional_call does the same for one call of a module's forward; here an encoder runs in two halves.
    places = {}
    for name, tensor in weights.items():
        owner, _, leaf = name.rpartition(".")
        module = model.get_submodule(owner)
        own = module._parameters[leaf]
        if own is None or own.shape != tensor.shape:
            raise ValueError(f"{name} is {own if own is None else tuple(own.shape)}, not {tuple(tensor.shape)}")
        places[name] = module, leaf, own
    try:
        for name, (module, leaf, _) in places.items():
            module._parameters[leaf] = weights[name]
        yield
    finally:
        for module, leaf, own in places.values():
            module._parameters[leaf] = own


@contextmanager
def with_updates(updates: Mapping[Attention, Update]) -> Iterator[None]:
    """Let attentions add updates to their projections; for updates that no weight expresses, such as dropout in LoRA.

    It sets the hook `update` of every `Attention`, so that encoders need no argument for one method.
    """
    try:
        for attention, update in updates.items():
            attention.update = update
        yield
    finally:
        for attention in updates:
            attention.update = None


@contextmanager
def observed(encoder: VisionTransformer, observe: Observe) -> Iterator[None]:
    """Let `observe` see the input of every block of an image encoder; its output does not change."""
    encoder.observe = observe
    try:
        yield
    finally:
        encoder.observe = None
