"""Changes of an image's look that keep its object; an image always changes in the same way."""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image, ImageFilter, ImageOps

NOISE = 0.08  # ImageNet-C's Gaussian noise, severity 1: standard deviation, of pixels in 0..1
BLUR = 1.0  # ImageNet-C's Gaussian blur, severity 1: radius in pixels; it is for 224 pixels a side, here they are 64


class Pencil:
    """A drawing: dark lines where brightness changes, paper elsewhere."""

    def __call__(self, image: Image.Image) -> Image.Image:
        grey = ImageOps.autocontrast(image.convert("L"), cutoff=1)
        smooth = np.asarray(grey.filter(ImageFilter.GaussianBlur(0.8)), np.float32)
        down, across = np.gradient(smooth)
        edge = np.hypot(down, across)
        line = np.clip(edge / max(float(np.percentile(edge, 97)), 1.0), 0, 1)
        return Image.fromarray((255 * (1 - line)).astype(np.uint8), "L").convert("RGB")

    def __repr__(self) -> str:
        return "Pencil()"


class FalseColours:
    """The image in other colours, with few steps of brightness: channels swapped, contrast raised, four levels each."""

    def __call__(self, image: Image.Image) -> Image.Image:
        red, green, blue = ImageOps.autocontrast(image.convert("RGB"), cutoff=2).split()
        return ImageOps.posterize(Image.merge("RGB", (green, blue, ImageOps.invert(red))), 2)

    def __repr__(self) -> str:
        return "FalseColours()"


class BlurAndNoise:
    """Gaussian blur, then Gaussian noise; the image's own content seeds the noise.

    The values are ImageNet-C's for its first severity. At 64 pixels a side the blur is about three times as strong.
    """

    def __call__(self, image: Image.Image) -> Image.Image:
        image = image.convert("RGB")
        blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(BLUR)), np.float32) / 255
        noise = np.random.default_rng(zlib.crc32(image.tobytes())).normal(0, NOISE, blurred.shape)
        return Image.fromarray((255 * np.clip(blurred + noise, 0, 1)).round().astype(np.uint8))

    def __repr__(self) -> str:
        return f"BlurAndNoise({BLUR}, {NOISE})"
