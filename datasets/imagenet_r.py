"""ImageNetR: paintings, toys, embroidery and other renditions. Hendrycks et al., 2021."""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.imagenet_family import ImageNetVariant


@DATASET_REGISTRY.register()
class ImageNetR(ImageNetVariant):
    """200 of ImageNet's classes, numbered among themselves: the others are no possible answers."""

    dataset_dir = "imagenet-rendition"
    image_dir = "imagenet-r"
