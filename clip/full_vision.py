"""The plain image encoder: every pass from the first block, every row to the end. It is the oracle of the fast one."""

from __future__ import annotations

from torch import Tensor

from clip.deep_tokens import DeepBranch, DeepTokens
from clip.transformer import Paused
from clip.vision import VisionTransformer


class FullVisionTransformer(VisionTransformer):
    """A vision transformer without shared halves; same calls, same weights as the encoder it is made of."""

    def __init__(self, encoder: VisionTransformer):
        self.__dict__ = encoder.__dict__  # the same modules, other methods

    def lower(
        self, images: Tensor, to: int, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Paused:
        """Nothing is shared here: the whole computation is left to `upper`."""
        return Paused(images, to)

    def upper(self, paused: Paused, tokens: DeepTokens | None = None, branch: DeepBranch | None = None) -> Tensor:
        """(B, 1, D), or (B, 1 + K, D) as in `VisionTransformer.upper`, from the images on."""
        x = self.transformer.run(self.embed(paused.states, tokens, branch), tokens=tokens, branch=branch)
        read = 1 + tokens.count if tokens is not None and tokens.at == 1 else 1
        return self.ln_post(x)[:, :read]
