"""FGVCAircraft: variants of aircraft. Maji et al., 2013."""

from __future__ import annotations

import random
from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY, Datum
from datasets.base.benchmark import SplitBenchmark, lines
from datasets.base.splits import Split


@DATASET_REGISTRY.register()
class FGVCAircraft(SplitBenchmark):
    """The official split, read from its lists each time. The banner at the bottom of the images stays."""

    dataset_dir = "fgvc_aircraft"
    image_dir = "images"

    @classmethod
    def make_split(cls, folder: Path, rng: random.Random) -> Split:
        variants = lines(folder / "variants.txt")
        number = {name: label for label, name in enumerate(variants)}
        lists = {}
        for split in Split._fields:
            rows = (line.split(" ", 1) for line in lines(folder / f"images_variant_{split}.txt"))
            lists[split] = [
                Datum.listed(folder / cls.image_dir / f"{stem}.jpg", number[name.strip()], 0, name.strip())
                for stem, name in rows
            ]
        return Split(**lists)
