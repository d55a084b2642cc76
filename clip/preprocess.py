"""Preprocessing of images for CLIP's image encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image
from torch import Tensor
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

# Channel statistics of CLIP's training images, in the range 0..1, as released with the weights.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def evaluation_transform(
    size: int, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> Callable[[Image.Image], Tensor]:
    """Image of any mode and extent to `(3, size, size)`.

    The shorter edge becomes `size` pixels (bicubic), the middle square is kept, channels are normalised.
    """
    return Compose(
        [
            _to_rgb,  # first: bicubic interpolation knows nothing of palettes
            Resize(size, interpolation=InterpolationMode.BICUBIC),
            CenterCrop(size),
            ToTensor(),
            Normalize(mean, std),
        ]
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")
