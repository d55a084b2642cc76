"""Base class of the eleven benchmarks with a split file."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DatasetBase, Datum
from datasets.base.corruption import corrupt
from datasets.base.few_shot import few_shot
from datasets.base.missing import refuse_missing
from datasets.base.splits import (
    Split,
    SplitError,
    dataset_folder,
    existing_folder,
    read_split,
    split_groups,
    subsample,
    unlabelled,
    write_split,
)
from safeio.read_back import read_back

LEFTOVERS = {"Thumbs.db", "desktop.ini", "__MACOSX"}


class SplitBenchmark(DatasetBase):
    """Images in a folder, and a `split_zhou_*.json` that gives each image's class and split.

    A builder names the folders and overrides `make_split`, which is needed only where the split file is missing.

    Attributes:
        dataset_dir: folder below `DATASET.ROOT`.
        image_dir: folder in it that the split file's paths are relative to.
        split_file: name of the split file; empty if the dataset has its own way of saying it, which is then read
            each time.
    """

    image_dir = ""
    split_file = ""

    def __init__(self, cfg: CfgNode):
        folder = dataset_folder(cfg, self.dataset_dir)
        split = self.whole(folder, cfg.SEED)
        if self.split_file and not (folder / self.split_file).is_file():
            self._keep(split, folder)
        train_u, self.domain_classnames = unlabelled(split.train, cfg)
        split = few_shot(split, cfg.DATASET.NUM_SHOTS, cfg.SEED, folder, folder / "split_fewshot")
        split = corrupt(subsample(split, cfg.DATASET.SUBSAMPLE_CLASSES), cfg)
        super().__init__(train_x=split.train, train_u=train_u, val=split.val, test=split.test)

    @classmethod
    def whole(cls, folder: Path, seed: int = 1) -> Split:
        """Return all images; write nothing. `seed` only matters if a split has to be drawn.

        Raises:
            SplitError: the folder or what the split is read from is missing.
            FileNotFoundError: an image is missing.
        """
        existing_folder(folder)
        if cls.split_file and (folder / cls.split_file).is_file():
            return read_split(folder / cls.split_file, folder / cls.image_dir)
        try:
            split = cls.make_split(folder, random.Random(seed if seed >= 0 else 1))
        except (OSError, ValueError, KeyError, IndexError) as error:
            wanted = f"There is no {cls.split_file} in {folder}, and it" if cls.split_file else f"The split in {folder}"
            raise SplitError(
                f"{wanted} cannot be made from the original annotations: {error}. "
                "`mmrl data prepare` says what is missing."
            ) from error
        refuse_missing([*split.train, *split.val, *split.test])
        return split

    @classmethod
    def make_split(cls, folder: Path, rng: random.Random) -> Split:
        """The split from the original annotations, drawing as the published code does."""
        raise NotImplementedError

    def _keep(self, split: Split, folder: Path) -> None:
        print(
            f"Warning: there was no {self.split_file} in {folder}; a new split was drawn. Results on it cannot be "
            f"compared with published ones: get the published file for that."
        )
        with contextlib.suppress(OSError):  # a data folder may well be read-only
            write_split(split, folder / self.split_file, folder / self.image_dir)


class FolderPerClass(SplitBenchmark):
    """A folder of images per class, which are split 50/20/30 where there is no split file.

    Attributes:
        ignored: folders that are no classes.
        renamed: folder -> class name, where they differ.
    """

    ignored: Sequence[str] = ()
    renamed: Mapping[str, str] = {}

    @classmethod
    def make_split(cls, folder: Path, rng: random.Random) -> Split:
        return split_groups(class_groups(folder / cls.image_dir, cls.ignored, cls.renamed), rng)


def class_groups(images: Path, ignored: Sequence[str], renamed: Mapping[str, str]) -> list[list[Datum]]:
    """The images of each class folder, both in the order of names; `renamed` is folder -> class name.

    Raises:
        ValueError: there are no class folders.
    """
    names = sorted(p.name for p in visible(images) if p.is_dir() and p.name not in ignored)
    if not names:
        raise ValueError(f"there are no class folders in {images}")
    return [
        [Datum.listed(file, label, 0, renamed.get(name, name)) for file in sorted(visible(images / name))]
        for label, name in enumerate(names)
    ]


def lines(path: Path) -> list[str]:
    """Lines of an annotation file, without space around them and without empty ones."""
    text = read_back(path, lambda file: file.read_text(encoding="utf-8"))
    return [line.strip() for line in text.splitlines() if line.strip()]


def visible(folder: Path) -> list[Path]:
    """Return the entries of a folder without those that systems leave there: dot files, Thumbs.db and the like."""
    return [path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in LEFTOVERS]
