"""ImageNetA: photographs that fool classifiers. Hendrycks et al., 2021."""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.imagenet_family import ImageNetVariant


@DATASET_REGISTRY.register()
class ImageNetA(ImageNetVariant):
    """200 of ImageNet's classes, numbered among themselves: the others are no possible answers."""

    dataset_dir = "imagenet-adversarial"
    image_dir = "imagenet-a"
