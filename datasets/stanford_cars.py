"""StanfordCars: makes, models and years. Krause et al., 2013."""

from __future__ import annotations

import random
from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY, Datum
from datasets.base.benchmark import SplitBenchmark
from datasets.base.splits import Split, split_trainval
from safeio.matlab import read_mat


@DATASET_REGISTRY.register()
class StanfordCars(SplitBenchmark):
    """The year, last in the official names, goes to the front."""

    dataset_dir = "stanford_cars"
    split_file = "split_zhou_StanfordCars.json"

    @classmethod
    def make_split(cls, folder: Path, rng: random.Random) -> Split:
        names = [str(cell[0]) for cell in read_mat(folder / "devkit" / "cars_meta.mat")["class_names"][0]]
        trainval = _listed(folder / "cars_train", folder / "devkit" / "cars_train_annos.mat", names)
        test = _listed(folder / "cars_test", folder / "cars_test_annos_withlabels.mat", names)
        return Split(*split_trainval(trainval, rng), test)


def _listed(images: Path, annotations: Path, names: list[str]) -> list[Datum]:
    items = []
    for entry in read_mat(annotations)["annotations"][0]:
        label = int(entry["class"].item()) - 1
        *words, year = names[label].split(" ")
        items.append(Datum.listed(images / str(entry["fname"].item()), label, 0, " ".join([year, *words])))
    return items
