"""CLIP's ResNet image encoder.

It differs from the usual ResNet in three ways: a stem of three convolutions, an average pool in place of
every stride (so nothing is skipped), and attention over positions in place of the global average. Parameter
names are OpenAI's.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu, scaled_dot_product_attention

EXPANSION = 4  # a block's output is this many times wider than its middle


class ModifiedResNet(nn.Module):
    """ResNet encoder, `(B, 3, S, S) -> (B, output_dim)`.

    Args:
        layers: number of blocks in each of the four stages.
        output_dim: width E of the image feature.
        heads: attention heads of the final pooling.
        input_resolution: S, a multiple of 32 in pixels; it fixes the number of pooled positions.
        width: channels after the stem; the last stage has 32 times as many.
    """

    def __init__(
        self,
        layers: tuple[int, int, int, int],
        output_dim: int,
        heads: int,
        input_resolution: int = 224,
        width: int = 64,
    ):
        super().__init__()
        self.output_dim = output_dim
        self.input_resolution = input_resolution
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.avgpool = nn.AvgPool2d(2)
        self.layer1 = _stage(width, width, layers[0], stride=1)
        self.layer2 = _stage(width * EXPANSION, width * 2, layers[1], stride=2)
        self.layer3 = _stage(width * 2 * EXPANSION, width * 4, layers[2], stride=2)
        self.layer4 = _stage(width * 4 * EXPANSION, width * 8, layers[3], stride=2)
        self.attnpool = AttentionPool2d(input_resolution // 32, width * 8 * EXPANSION, heads, output_dim)

    @property
    def projection(self) -> nn.Parameter:
        """The last matrix, (E, D), as it stands in checkpoints."""
        return self.attnpool.c_proj.weight

    @property
    def pooled_width(self) -> int:
        """D, the length of what `pool` returns."""
        return self.projection.shape[1]

    def project(self, pooled: Tensor, weight: Tensor | None = None) -> Tensor:
        """`(B, D) -> (B, E)`, by `weight` (E, D) in place of the own matrix if given; the shift is the own one."""
        return linear(pooled, self.projection if weight is None else weight, self.attnpool.c_proj.bias)

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, S, S) -> (B, E)`, not normalised."""
        return self.project(self.pool(images))

    def pool(self, images: Tensor) -> Tensor:
        """Return the features that the projection reads, pooled by attention: `(B, 3, S, S) -> (B, D)`."""
        side = self.input_resolution
        if images.shape[-2:] != (side, side):  # a few other sizes would pass and meet wrong positions
            raise ValueError(
                f"the image encoder takes images of {side} x {side} pixels, not {tuple(images.shape[-2:])}: "
                f"set INPUT.SIZE to ({side}, {side})"
            )
        x = relu(self.bn1(self.conv1(images)))
        x = relu(self.bn2(self.conv2(x)))
        x = self.avgpool(relu(self.bn3(self.conv3(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.attnpool.pool(x)


class Bottleneck(nn.Module):
    """Reduce channels, convolve, expand, and add to the input: `(B, C, H, W) -> (B, 4 * planes, H / stride, W /
    stride)`."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.avgpool = _shrink(stride)
        self.conv3 = nn.Conv2d(planes, planes * EXPANSION, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * EXPANSION)
        self.downsample = None
        if stride > 1 or inplanes != planes * EXPANSION:
            self.downsample = nn.Sequential(
                OrderedDict(
                    [
                        ("-1", _shrink(stride)),  # no weights; so named, the others keep their published numbers
                        ("0", nn.Conv2d(inplanes, planes * EXPANSION, 1, bias=False)),
                        ("1", nn.BatchNorm2d(planes * EXPANSION)),
                    ]
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C, H, W) -> (B, 4 * planes, H / stride, W / stride)`."""
        out = relu(self.bn1(self.conv1(x)))
        out = relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.avgpool(out)))
        return relu(out + (x if self.downsample is None else self.downsample(x)))


class AttentionPool2d(nn.Module):
    """One query, the mean over positions, attends to itself and to all positions: `(B, D, H, W) -> (B, E)`.

    Args:
        spacial_dim: H and W; this and the other names are OpenAI's.
        embed_dim, num_heads: D, and the heads that it is divided among.
        output_dim: E, by default D.
    """

    def __init__(self, spacial_dim: int, embed_dim: int, num_heads: int, output_dim: int | None = None):
        super().__init__()
        self.num_heads = num_heads
        self.positional_embedding = nn.Parameter(torch.randn(spacial_dim**2 + 1, embed_dim) / embed_dim**0.5)
        self.k_proj = nn.Linear(embed_dim, embed_dim)
        self.q_proj = nn.Linear(embed_dim, embed_dim)
        self.v_proj = nn.Linear(embed_dim, embed_dim)
        self.c_proj = nn.Linear(embed_dim, output_dim or embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, D, H, W) -> (B, E)`."""
        return self.c_proj(self.pool(x))

    def pool(self, x: Tensor) -> Tensor:
        """`(B, D, H, W) -> (B, D)`, before the projection."""
        x = x.flatten(2).transpose(1, 2)  # (B, H * W, D)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
        x = x + self.positional_embedding.to(x.dtype)
        query = self._split(self.q_proj(x[:, :1]))  # only the mean's row is read, so only it asks
        pooled = scaled_dot_product_attention(query, self._split(self.k_proj(x)), self._split(self.v_proj(x)))
        return pooled.flatten(1)

    def _split(self, x: Tensor) -> Tensor:
        """`(B, N, D) -> (B, heads, N, D / heads)`."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


def _stage(inplanes: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(inplanes, planes, stride)
    return nn.Sequential(first, *(Bottleneck(planes * EXPANSION, planes) for _ in range(blocks - 1)))


def _shrink(stride: int) -> nn.Module:
    return nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
