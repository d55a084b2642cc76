"""OxfordFlowers: flowers common in the United Kingdom. Nilsback and Zisserman, 2008."""

from __future__ import annotations

import random
from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY, Datum
from dassl.data.few_shot import group_by
from datasets.base.benchmark import SplitBenchmark
from datasets.base.splits import Split, split_groups
from safeio.matlab import read_mat
from safeio.read_back import read_json


@DATASET_REGISTRY.register()
class OxfordFlowers(SplitBenchmark):
    """The official split in `setid.mat` is not the benchmark's. Names come from `cat_to_name.json`, by class from 1."""

    dataset_dir = "oxford_flowers"
    image_dir = "jpg"
    split_file = "split_zhou_OxfordFlowers.json"

    @classmethod
    def make_split(cls, folder: Path, rng: random.Random) -> Split:
        labels = read_mat(folder / "imagelabels.mat")["labels"][0]
        names = read_json(folder / "cat_to_name.json", {str: str}, "Fetch it again.")
        items = [
            Datum.listed(folder / cls.image_dir / f"image_{number:05d}.jpg", int(label) - 1, 0, names[str(int(label))])
            for number, label in enumerate(labels, 1)
        ]
        return split_groups(group_by(items, lambda item: item.label).values(), rng)
