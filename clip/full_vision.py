"""Plain image encoder: every pass runs all blocks on all rows. Tests compare the fast encoder with it."""

from __future__ import annotations

from torch import Tensor, nn

from clip.deep_tokens import DeepBranch, DeepTokens
from clip.transformer import Paused
from clip.vision import VisionTransformer


def adopt(module: nn.Module, other: nn.Module) -> None:
    """Give a module the parameters and submodules of another, so that both compute with the same ones."""
    for name, parameter in other.named_parameters(recurse=False):
        module.register_parameter(name, parameter)
    for name, child in other.named_children():
        module.add_module(name, child)
    module.train(other.training)


class FullVisionTransformer(VisionTransformer):
    """A vision transformer that shares nothing between passes; same calls and weights as the encoder it is made of."""

    def __init__(self, encoder: VisionTransformer):
        nn.Module.__init__(self)
        self.input_resolution, self.output_dim = encoder.input_resolution, encoder.output_dim
        adopt(self, encoder)

    def forward_until(
        self, images: Tensor, to: int, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Paused:
        """Keep the input: without sharing, `forward_from` computes everything."""
        return Paused(images, to)

    def forward_from(
        self, paused: Paused, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Tensor:
        """(B, 1, D), or (B, 1 + K, D) as in `VisionTransformer.forward_from`, from the images on."""
        x = self.transformer.run(self.embed(paused.states, tokens, branch), tokens=tokens, branch=branch)
        read = 1 + tokens.count if tokens is not None and tokens.at == 1 else 1
        return self.ln_post(x)[:, :read]
