"""DescribableTextures (DTD): surfaces and the words for them. Cimpoi et al., 2014."""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.benchmark import FolderPerClass
from datasets.base.coop_compat import FolderCalls


@DATASET_REGISTRY.register()
class DescribableTextures(FolderCalls, FolderPerClass):
    """The ten partitions in `labels/` are not the benchmark's split."""

    dataset_dir = "dtd"
    image_dir = "images"
    split_file = "split_zhou_DescribableTextures.json"
