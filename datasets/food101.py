"""Food101: dishes. Bossard, Guillaumin and Van Gool, 2014."""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.benchmark import FolderPerClass


@DATASET_REGISTRY.register()
class Food101(FolderPerClass):
    """The lists in `meta/` are not the benchmark's split."""

    dataset_dir = "food-101"
    image_dir = "images"
    split_file = "split_zhou_Food101.json"
