"""Augmentations that torchvision does not have. All draw from torch's global generator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

ENLARGEMENT = 9 / 8  # of width and height, before a random translation cuts the size back


def random_index(stop: int) -> int:
    """A random integer in [0, stop)."""
    return int(torch.randint(stop, ()))


class Random2DTranslation:
    """Enlarge an image by an eighth and cut out a window with probability ``p``; otherwise just resize it.

    Args:
        size: (height, width) of the result, in pixels.
    """

    def __init__(
        self,
        size: Sequence[int],
        p: float = 0.5,
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    ):
        self.size = tuple(size)
        self.p = p
        self.interpolation = interpolation

    def __call__(self, image: Image.Image) -> Image.Image:
        height, width = self.size
        if torch.rand(()) >= self.p:
            return F.resize(image, [height, width], self.interpolation)
        tall, wide = round(height * ENLARGEMENT), round(width * ENLARGEMENT)
        image = F.resize(image, [tall, wide], self.interpolation)
        return F.crop(image, random_index(tall - height + 1), random_index(wide - width + 1), height, width)


class Cutout:
    """Set ``n_holes`` squares at random places to 0; a square may reach over the edge.

    Source: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017.

    Args:
        length: edge of a square in pixels.
    """

    def __init__(self, n_holes: int = 1, length: int = 16):
        self.n_holes = n_holes
        self.length = length

    def __call__(self, image: Tensor) -> Tensor:  # (3, H, W) -> (3, H, W)
        height, width = image.shape[-2:]
        image = image.clone()
        for _ in range(self.n_holes):
            top = random_index(height) - self.length // 2
            left = random_index(width) - self.length // 2
            image[..., max(top, 0) : max(top + self.length, 0), max(left, 0) : max(left + self.length, 0)] = 0
        return image


class GaussianNoise:
    """Add independent normal noise to each value with probability ``p``."""

    def __init__(self, mean: float = 0.0, std: float = 0.15, p: float = 0.5):
        self.mean = mean
        self.std = std
        self.p = p

    def __call__(self, image: Tensor) -> Tensor:
        if torch.rand(()) >= self.p:
            return image
        return image + torch.randn_like(image) * self.std + self.mean


class InstanceNormalization:
    """Mean 0 and standard deviation 1 for each channel of each image."""

    def __init__(self, eps: float = 1e-8):
        self.eps = eps

    def __call__(self, image: Tensor) -> Tensor:  # (3, H, W) -> (3, H, W)
        mean = image.mean(dim=(-2, -1), keepdim=True)
        std = image.std(dim=(-2, -1), keepdim=True)
        return (image - mean) / (std + self.eps)
