"""What happens to an image before a model sees it."""

from dassl.data.transforms.augment import Cutout, GaussianNoise, InstanceNormalization, Random2DTranslation
from dassl.data.transforms.transforms import AVAI_CHOICES, INTERPOLATION_MODES, build_transform

__all__ = [
    "AVAI_CHOICES",
    "INTERPOLATION_MODES",
    "Cutout",
    "GaussianNoise",
    "InstanceNormalization",
    "Random2DTranslation",
    "build_transform",
]
