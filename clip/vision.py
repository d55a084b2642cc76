"""Image encoder (ViT), which runs in two halves so that a frozen and a tuned pass share the lower layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clip.block import LayerNorm, QuickGELU
from clip.deep_tokens import DeepBranch, DeepTokens, branch_at, drop_replaced, write_tokens
from clip.transformer import Observe, Paused, Transformer


class VisionTransformer(nn.Module):
    """CLIP's vision transformer: (B, 3, S, S) -> (B, E).

    Args:
        input_resolution: side S of the images in pixels.
        patch_size: side of a patch in pixels.
        width, layers, heads: the shape of the transformer.
        output_dim: embedding size E.
        activation, mlp_width: as in `Transformer`.

    Attributes:
        observe: sees the input of every block while it is set (`clip.substitute.observed`); learned tokens then go
            through all blocks, also where the next one replaces them.
    """

    observe: Observe | None = None

    def __init__(
        self,
        input_resolution: int,
        patch_size: int,
        width: int,
        layers: int,
        heads: int,
        output_dim: int,
        activation: type[nn.Module] = QuickGELU,
        mlp_width: int | None = None,
    ):
        super().__init__()
        self.input_resolution, self.output_dim = input_resolution, output_dim
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch_size, stride=patch_size, bias=False)
        scale = width**-0.5
        positions = (input_resolution // patch_size) ** 2 + 1
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(positions, width))
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(width, layers, heads, activation=activation, mlp_width=mlp_width)
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, output_dim))

    @property
    def projection(self) -> nn.Parameter:
        """The last matrix, (D, E), as it stands in checkpoints."""
        return self.proj

    @property
    def pooled_width(self) -> int:
        """D, the length of what `pool` returns."""
        return len(self.proj)

    def embed(self, images: Tensor, tokens: DeepTokens | None = None, branch: DeepBranch | None = None) -> Tensor:
        """(B, 3, S, S) -> (B, 1 + patches, D), the input of the first block; `tokens` may grow at layer 0."""
        side = self.input_resolution
        if images.shape[-2:] != (side, side):
            raise ValueError(
                f"the image encoder takes images of {side} x {side} pixels, not {tuple(images.shape[-2:])}: "
                f"set INPUT.SIZE to ({side}, {side})"
            )
        x = self.conv1(images).flatten(2).transpose(1, 2)  # (B, patches, D)
        x = torch.cat([self.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1), x], dim=1)
        x = x + self.positional_embedding.to(x.dtype)
        x, added = self.ln_pre(write_tokens(x, 0, tokens)), branch_at(branch, 0)
        return x if added is None else x + added(x)

    def forward_until(
        self, images: Tensor, to: int, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Paused:
        """Run the encoder up to the input of block `to` (1-based)."""
        x = drop_replaced(self.embed(images, tokens, branch), 1, tokens)
        return Paused(self.run(x, 1, to - 1, tokens, branch), to)

    def forward_from(
        self, paused: Paused, tokens: DeepTokens | None = None, branch: DeepBranch | None = None
    ) -> Tensor:
        """Continue to the top and read the class row, and the slots that stand right after it.

        Returns:
            (B, 1, D), or (B, 1 + K, D) with the K slots of `tokens` where these stand at position 1;
            after the last norm, before the projection.
        """
        read = 1 + tokens.count if tokens is not None and tokens.at == 1 else 1
        x = self.run(paused.states, paused.layer, self.transformer.layers, tokens, branch, read)
        return self.ln_post(x)

    def run(
        self,
        x: Tensor,
        first: int,
        last: int,
        tokens: DeepTokens | None = None,
        branch: DeepBranch | None = None,
        read: int | None = None,
    ) -> Tensor:
        """Run blocks as `Transformer.run`, but compute no output of tokens that the next block replaces.

        At the input of such a block the sequences are without slots.
        """
        if self.observe is not None:
            return self.transformer.run(x, first, last, tokens, branch, read, self.observe)
        for layer in range(first, last + 1):
            block, added = self.transformer.resblocks[layer - 1], branch_at(branch, layer)
            rows = read if layer == self.transformer.layers else None
            new = tokens is not None and tokens.replaced_at(layer)
            if tokens is not None and new and tokens.replaced_at(layer + 1):
                x = block(x, False, rows, added, beside=tokens.tokens(layer, None).to(x.dtype))
            else:
                x = block(write_tokens(x, layer, tokens, empty=new), False, rows, added)
                x = drop_replaced(x, layer + 1, tokens)
        return x

    def pool(self, images: Tensor, tokens: DeepTokens | None = None, branch: DeepBranch | None = None) -> Tensor:
        """Return the input of the projection, the normed class row of each image: (B, 3, S, S) -> (B, D)."""
        return self.forward_from(self.forward_until(images, 1, tokens, branch), tokens, branch)[:, 0]

    def project(self, pooled: Tensor, weight: Tensor | None = None) -> Tensor:
        """(B, D) -> (B, E), by `weight` (D, E) in place of the own projection if given."""
        return pooled @ (self.proj if weight is None else weight)

    def forward(self, images: Tensor, tokens: DeepTokens | None = None, branch: DeepBranch | None = None) -> Tensor:
        """(B, 3, S, S) -> (B, E), image features, not normalised; without tokens and branch frozen CLIP's."""
        return self.project(self.pool(images, tokens, branch))
