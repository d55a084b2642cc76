"""OpenMojiLine: OpenMoji's test images as black line art.

A second domain, as ImageNet-Sketch is to ImageNet.
"""

from __future__ import annotations

from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from datasets.base.splits import Split, read_split, subsample
from datasets.openmoji import FOLDER, SPLIT_FILE, openmoji_folder


@DATASET_REGISTRY.register()
class OpenMojiLine(DatasetBase):
    """619 drawings for testing, with OpenMoji's classes and labels.

    As for the ImageNet variants the training list repeats the test list: only its class names are used.
    `DATASET.NUM_SHOTS` therefore does nothing; `DATASET.SUBSAMPLE_CLASSES` works as for OpenMoji.
    """

    dataset_dir = FOLDER

    def __init__(self, cfg: CfgNode):
        folder = openmoji_folder(cfg)
        colour = read_split(folder / SPLIT_FILE, folder / "images").test
        drawings = [_drawing(item, folder) for item in colour]
        split = subsample(Split(drawings, [], drawings), cfg.DATASET.SUBSAMPLE_CLASSES)
        super().__init__(train_x=split.train, test=split.test)


def _drawing(item: Datum, folder: Path) -> Datum:
    path = folder / "line" / Path(item.impath).relative_to(folder / "images")
    return Datum(path, item.label, item.domain, item.classname)
