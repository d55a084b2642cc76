"""SUN397: scenes. Xiao et al., 2010."""

from __future__ import annotations

import random
from pathlib import Path, PurePosixPath

from dassl.data.datasets import DATASET_REGISTRY, Datum
from datasets.base.benchmark import SplitBenchmark, lines
from datasets.base.splits import Split, split_trainval


@DATASET_REGISTRY.register()
class SUN397(SplitBenchmark):
    """The official partition 1. `/a/apartment_building/outdoor` is called `outdoor apartment_building`."""

    dataset_dir = "sun397"
    image_dir = "SUN397"
    split_file = "split_zhou_SUN397.json"

    @classmethod
    def make_split(cls, folder: Path, rng: random.Random) -> Split:
        number = {place: label for label, place in enumerate(_places(folder / "ClassName.txt"))}
        trainval, test = (
            [cls._datum(folder, path, number) for path in _places(folder / name)]
            for name in ("Training_01.txt", "Testing_01.txt")
        )
        return Split(*split_trainval(trainval, rng), test)

    @classmethod
    def _datum(cls, folder: Path, path: str, number: dict[str, int]) -> Datum:
        place = str(PurePosixPath(path).parent)
        name = " ".join(reversed(place.split("/")[1:]))  # without the letter
        return Datum.listed(folder / cls.image_dir / path, number[place], 0, name)


def _places(path: Path) -> list[str]:
    return [line.lstrip("/") for line in lines(path)]
