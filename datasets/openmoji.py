"""OpenMoji: the small image set inside the repository, 38 classes of emojis in colour (CC BY-SA 4.0).

It is there so that every script runs without data; results on it say nothing about the papers' benchmarks.
Classes are numbered alphabetically. `tools/build_openmoji.py` made it.
"""

from __future__ import annotations

from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase
from datasets.base.corruption import corrupt
from datasets.base.few_shot import few_shot
from datasets.base.splits import dataset_folder, read_split, subsample

EMBEDDED = Path(__file__).parent / "embedded"
FOLDER = "openmoji"
SPLIT_FILE = "split_zhou_OpenMoji.json"


def openmoji_folder(cfg: CfgNode) -> Path:
    """`<DATASET.ROOT>/openmoji` if somebody put one there, else the one in the repository."""
    given = dataset_folder(cfg, FOLDER)
    return given if given.is_dir() else EMBEDDED / FOLDER


@DATASET_REGISTRY.register()
class OpenMoji(DatasetBase):
    """Colour images of 64 x 64 pixels: 856 for training, 165 for validation, 647 for testing."""

    dataset_dir = FOLDER

    def __init__(self, cfg: CfgNode):
        folder = openmoji_folder(cfg)
        images = folder / "images"
        ours = folder.is_relative_to(EMBEDDED)  # the program's own folder is never written to
        cache = None if ours else folder / "split_fewshot"
        split = read_split(folder / SPLIT_FILE, images)
        split = few_shot(split, cfg.DATASET.NUM_SHOTS, cfg.SEED, images, cache)
        split = corrupt(subsample(split, cfg.DATASET.SUBSAMPLE_CLASSES), cfg)
        super().__init__(train_x=split.train, val=split.val, test=split.test)
