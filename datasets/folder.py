"""A dataset of the user's own, without code: `DATASET.ROOT` (`--root`) is the folder of its images.

`docs/datasets.md` says what may be in it.
"""

from __future__ import annotations

import random
from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from dassl.data.few_shot import group_by
from datasets.base.corruption import corrupt
from datasets.base.few_shot import few_shot
from datasets.base.manifest import Row, read_rows
from datasets.base.splits import TRAIN_SHARE, VAL_SHARE, Split, SplitError, dataset_folder, subsample

SPLIT_SEED = 1  # of all runs: a seed of its own would give each run other test images


@DATASET_REGISTRY.register()
class Folder(DatasetBase):
    """Images in class folders or in a manifest.

    Parts that are not given are drawn class by class, the same for every seed: half for training, a fifth for
    validation, the rest for testing; from the training images if only testing or validation is given.
    """

    dataset_dir = ""

    def __init__(self, cfg: CfgNode):
        folder = dataset_folder(cfg, self.dataset_dir)
        split = self.whole(folder)
        split = few_shot(split, cfg.DATASET.NUM_SHOTS, cfg.SEED, folder, folder / "split_fewshot")
        split = corrupt(subsample(split, cfg.DATASET.SUBSAMPLE_CLASSES), cfg)
        super().__init__(train_x=split.train, val=split.val or None, test=split.test)

    @classmethod
    def whole(cls, folder: Path, seed: int = SPLIT_SEED) -> Split:
        """All images.

        Raises:
            SplitError: there are none, or no place for them to be tested.
        """
        rng, split = random.Random(seed), Split([], [], [])
        rows = read_rows(folder)
        given = {row.part for row in rows if row.part}
        for group in group_by(sorted(rows, key=lambda row: row.label), lambda row: row.label).values():
            for part, items in zip(Split._fields, _parts(group, given, rng), strict=True):
                getattr(split, part).extend(Datum(row.path, row.label, 0, row.classname) for row in items)
        if not split.test:
            raise SplitError(f"No image in {folder} is left for testing: every class has only one.")
        return split


def _parts(group: list[Row], given: set[str], rng: random.Random) -> tuple[list[Row], list[Row], list[Row]]:
    """The images of one class for training, validation and testing; a single one is for training."""
    train, val, test = ([row for row in group if row.part == part] for part in Split._fields)
    spare = [row for row in group if not row.part]
    if "test" not in given and "val" in given:
        test = val  # as for ImageNet, the validation images are what is tested on
    elif "test" not in given:
        spare, train = spare + train, []
    elif "val" not in given and not spare:  # a fifth of them for validation
        spare, train = train, []
    rng.shuffle(spare)
    n_val = round(VAL_SHARE * len(spare)) if "val" not in given else 0
    n_train = len(spare) - n_val if "test" in given or "val" in given else max(1, round(TRAIN_SHARE * len(spare)))
    if not {"test", "val"} & given:
        n_val = min(n_val, max(0, len(spare) - n_train - 1))  # testing goes before validation
    train, val = train + spare[:n_train], val + spare[n_train : n_train + n_val]
    return train, val, test + spare[n_train + n_val :]
