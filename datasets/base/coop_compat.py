"""Class methods that dataset files of the CoOp family call on OxfordPets, DescribableTextures and ImageNet.

Such files work here unedited. The methods draw from the process-wide generator, as the published code does.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from dassl.data.datasets import Datum
from datasets.base import splits
from datasets.base.benchmark import class_groups, lines


class SplitCalls:
    """Calls of `OxfordPets`: split files, a validation split, halves of the classes."""

    @staticmethod
    def read_split(filepath: str | os.PathLike, path_prefix: str | os.PathLike) -> splits.Split:
        """Read a split file (`splits.read_split`)."""
        print(f"Reading split from {filepath}")
        return splits.read_split(filepath, path_prefix)

    @staticmethod
    def save_split(
        train: list[Datum],
        val: list[Datum],
        test: list[Datum],
        filepath: str | os.PathLike,
        path_prefix: str | os.PathLike,
    ) -> None:
        """Write a split file (`splits.write_split`)."""
        splits.write_split(splits.Split(train, val, test), filepath, path_prefix)
        print(f"Saved split to {filepath}")

    @staticmethod
    def split_trainval(trainval: list[Datum], p_val: float = splits.VAL_FRACTION) -> tuple[list[Datum], list[Datum]]:
        """Split each class into training and validation images; return both, training first."""
        print(f"Splitting trainval into {1 - p_val:.0%} train and {p_val:.0%} val")
        return splits.split_trainval(trainval, random, p_val)

    @staticmethod
    def subsample_classes(*args: list[Datum], subset: str = "all") -> Sequence[list[Datum]]:
        """Any number of lists, the training split first, which decides: `all`, or one half of the classes."""
        if subset != "all":
            print(f"SUBSAMPLE {subset.upper()} CLASSES!")
        return splits.subsample_lists(args, subset)


class FolderCalls:
    """Calls of `DescribableTextures`: a split of class folders."""

    @staticmethod
    def read_and_split_data(
        image_dir: str | os.PathLike,
        p_trn: float = splits.TRAIN_FRACTION,
        p_val: float = splits.VAL_FRACTION,
        ignored: Sequence[str] = (),
        new_cnames: Mapping[str, str] | None = None,
    ) -> splits.Split:
        """Fractions of each class for training and validation, the rest for testing; `new_cnames` is folder -> name."""
        print(f"Splitting into {p_trn:.0%} train, {p_val:.0%} val, and {1 - p_trn - p_val:.0%} test")
        return splits.split_groups(class_groups(Path(image_dir), ignored, new_cnames or {}), random, p_trn, p_val)


class ClassNameCalls:
    """Calls of `ImageNet`: the names of its classes."""

    @staticmethod
    def read_classnames(text_file: str | os.PathLike) -> dict[str, str]:
        """WordNet number -> name, in the order of the file's lines."""
        return dict(line.partition(" ")[::2] for line in lines(Path(text_file)))
