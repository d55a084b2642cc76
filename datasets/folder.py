"""A dataset of the user's own, without code: `DATASET.ROOT` (`--root`) is the folder of its images, or a list of them.

`docs/your-data.md` says what may be in it; `datasets.own` reads it.
"""

from __future__ import annotations

from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase
from datasets.base.corruption import corrupt
from datasets.base.few_shot import few_shot
from datasets.base.splits import Split, dataset_folder, subsample, unlabelled
from datasets.own.check_files import refuse_unreadable
from datasets.own.divide import divide, rule_of
from datasets.own.read import read_table
from datasets.own.report import describe


@DATASET_REGISTRY.register()
class Folder(DatasetBase):
    """Own images. It prints what was read and by which rules, and writes nothing beside them."""

    dataset_dir = ""

    def __init__(self, cfg: CfgNode):
        folder = dataset_folder(cfg, self.dataset_dir)
        table = read_table(folder, tuple(getattr(cfg.DATASET, "ALLOW", ())))
        val_fraction = getattr(cfg.DATASET, "VAL_FRACTION", -1)
        split = divide(table, val_fraction)
        print(describe(table, split, rule_of(table, val_fraction)))
        train_u, self.domain_classnames = unlabelled(split.train, cfg)
        split = few_shot(split, cfg.DATASET.NUM_SHOTS, cfg.SEED, folder)
        split = corrupt(subsample(split, cfg.DATASET.SUBSAMPLE_CLASSES), cfg)
        super().__init__(train_x=split.train, train_u=train_u, val=split.val or None, test=split.test)

    def verify(self) -> None:
        """Decode every image that the run will use.

        Raises:
            SplitError: some cannot be decoded; the message counts them.
        """
        refuse_unreadable(Split([*self.train_x, *(self.train_u or ())], self.val or [], self.test))

    @classmethod
    def whole(cls, folder: Path, seed: int = 1) -> Split:
        """Read all images; the division is the same for every seed.

        Raises:
            SplitError: there are none, or the layout is in doubt.
        """
        return divide(read_table(folder))
