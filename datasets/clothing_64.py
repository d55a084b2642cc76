"""Clothing: 3,781 photographs of ten kinds of clothes at 64 pixels, inside the repository.

clothing-dataset-small by A. Grigorev and contributors, CC0; scaled to a short side of 64 pixels.
"""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.embedded import EmbeddedDataset


@DATASET_REGISTRY.register()
class Clothing(EmbeddedDataset):
    """3,068 images for training, 341 for validation, 372 for testing."""

    dataset_dir = "clothing_64"
    split_file = "split_clothing.json"
