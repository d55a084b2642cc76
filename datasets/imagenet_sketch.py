"""ImageNetSketch: drawings of ImageNet's classes. Wang et al., 2019."""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.imagenet_family import ImageNetVariant


@DATASET_REGISTRY.register()
class ImageNetSketch(ImageNetVariant):
    """All 1000 classes."""

    dataset_dir = "imagenet-sketch"
    image_dir = "images"
