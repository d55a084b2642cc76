"""Augmentation of a whole batch of small images in torch: cheaper on a CPU than one image at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from clip.preprocess import MEAN, STD


def normalise(images: Tensor) -> Tensor:
    """(N, 3, S, S) uint8 or 0..1 floats to what CLIP's image encoder expects."""
    x = images.float() / 255 if images.dtype == torch.uint8 else images
    return (x - x.new_tensor(MEAN).view(3, 1, 1)) / x.new_tensor(STD).view(3, 1, 1)


def augment(images: Tensor, side: int) -> Tensor:
    """(N, 3, S, S) uint8 on white to (N, 3, side, side), normalised; each image with draws of its own."""
    x = _place(images.float() / 255, side)
    x = _draw_lines(x)
    return normalise(_recolour(x).clamp(0, 1))


def _place(x: Tensor, side: int) -> Tensor:
    """Zoom (0.7 to 1.15 of the frame), aspect, slight turn, shift and mirror; white comes in from outside."""
    n = len(x)
    zoom = torch.empty(n, 1).uniform_(0.7, 1.15)
    aspect = torch.empty(n, 1).uniform_(-0.15, 0.15).exp()
    half = torch.cat([zoom * aspect, zoom / aspect], 1)  # half extents of what is seen, 1 = the frame
    half[:, 0] *= torch.where(torch.rand(n) < 0.5, -1.0, 1.0)
    angle = torch.randn(n) * 0.12
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
    shift = torch.empty(n, 2).uniform_(-1, 1) * ((1 - zoom).abs() + 0.05)
    grid = F.affine_grid(torch.cat([turn * half[:, None], shift[:, :, None]], 2), [n, 3, side, side], False)
    return 1 + F.grid_sample(x - 1, grid, align_corners=False)  # zeros outside are white


def _draw_lines(x: Tensor) -> Tensor:
    """Some images get dark outlines, some become outlines only: other artists draw that way."""
    lightest, darkest = F.max_pool2d(x, 3, 1, 1), -F.max_pool2d(-x, 3, 1, 1)
    edge = (lightest - darkest).amax(1, keepdim=True)
    ink = 1 - (edge * 1.5).clamp(0, 1)
    dice = torch.rand(len(x), 1, 1, 1)
    return torch.where(dice < 0.25, x * ink, torch.where(dice < 0.35, ink.expand_as(x), x))


def _recolour(x: Tensor) -> Tensor:
    """Grey a tenth, swap channels of a tenth, change saturation, contrast and brightness of all."""
    n = len(x)

    def draw(low: float, high: float) -> Tensor:
        return torch.empty(n, 1, 1, 1).uniform_(low, high)

    saturation = torch.where(draw(0, 1) < 0.1, torch.zeros(()), draw(0.5, 1.5))
    swapped = x[:, torch.randperm(3)]
    x = torch.where(draw(0, 1) < 0.1, swapped, x)
    grey = x.mean(1, keepdim=True)
    x = grey + saturation * (x - grey)
    return 1 + draw(0.7, 1.2) * (x - 1) + draw(-0.08, 0.04)  # contrast about white: backgrounds stay
