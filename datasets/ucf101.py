"""UCF101: human actions, one frame from the middle of each video. Soomro, Zamir and Shah, 2012."""

from __future__ import annotations

import random
import re
from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY, Datum
from datasets.base.benchmark import SplitBenchmark, lines
from datasets.base.splits import Split, split_trainval


@DATASET_REGISTRY.register()
class UCF101(SplitBenchmark):
    """The official split 1. `ApplyEyeMakeup` is in the folder and has the name `Apply_Eye_Makeup`."""

    dataset_dir = "ucf101"
    image_dir = "UCF-101-midframes"
    split_file = "split_zhou_UCF101.json"

    @classmethod
    def make_split(cls, folder: Path, rng: random.Random) -> Split:
        lists = folder / "ucfTrainTestlist"
        rows = (line.split() for line in lines(lists / "classInd.txt"))
        number = {action: int(position) - 1 for position, action in rows}
        trainval, test = (
            [cls._datum(folder, line.split()[0], number) for line in lines(lists / name)]
            for name in ("trainlist01.txt", "testlist01.txt")
        )
        return Split(*split_trainval(trainval, rng), test)

    @classmethod
    def _datum(cls, folder: Path, video: str, number: dict[str, int]) -> Datum:
        action, file = video.split("/")
        name = "_".join(re.findall(r"[A-Z][^A-Z]*", action))
        return Datum.listed(folder / cls.image_dir / name / file.replace(".avi", ".jpg"), number[action], 0, name)
