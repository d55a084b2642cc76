"""OxfordPets: breeds of cats and dogs. Parkhi et al., 2012."""

from __future__ import annotations

import random
from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY, Datum
from datasets.base.benchmark import SplitBenchmark, lines
from datasets.base.coop_compat import SplitCalls
from datasets.base.splits import Split, split_trainval


@DATASET_REGISTRY.register()
class OxfordPets(SplitCalls, SplitBenchmark):
    """A line of the annotations: stem of the file, class from 1, species, breed within the species."""

    dataset_dir = "oxford_pets"
    image_dir = "images"
    split_file = "split_zhou_OxfordPets.json"

    @classmethod
    def make_split(cls, folder: Path, rng: random.Random) -> Split:
        trainval, test = (cls._listed(folder, name) for name in ("trainval.txt", "test.txt"))
        return Split(*split_trainval(trainval, rng), test)

    @classmethod
    def _listed(cls, folder: Path, name: str) -> list[Datum]:
        items = []
        for line in lines(folder / "annotations" / name):
            if not line.startswith("#"):
                stem, number, _, _ = line.split()
                breed = stem.rpartition("_")[0].lower()
                items.append(Datum.listed(folder / cls.image_dir / f"{stem}.jpg", int(number) - 1, 0, breed))
        return items
