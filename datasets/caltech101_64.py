"""Caltech101 at 64 pixels: every image of CoOp's split, inside the repository. Fei-Fei, Fergus and Perona, 2004.

Images by the authors of Caltech101, CC BY 4.0, scaled to a short side of 64 pixels (`tools/photo_clip/pack_images.py`).
Three further datasets are its test images with another look, for domain generalization.
"""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.embedded import ChangedLook, EmbeddedDataset
from datasets.base.looks import BlurAndNoise, FalseColours, Pencil


class _Caltech101Split:
    dataset_dir = "caltech101_64"
    split_file = "split_zhou_Caltech101.json"


@DATASET_REGISTRY.register()
class Caltech101Small(_Caltech101Split, EmbeddedDataset):
    """4,128 images for training, 1,649 for validation, 2,465 for testing; 100 classes."""


@DATASET_REGISTRY.register()
class Caltech101Pencil(_Caltech101Split, ChangedLook):
    """The test images as pencil drawings."""

    test_change = Pencil()


@DATASET_REGISTRY.register()
class Caltech101Colours(_Caltech101Split, ChangedLook):
    """The test images in false colours."""

    test_change = FalseColours()


@DATASET_REGISTRY.register()
class Caltech101Noise(_Caltech101Split, ChangedLook):
    """The test images blurred and noisy."""

    test_change = BlurAndNoise()
