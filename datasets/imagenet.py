"""ImageNet: 1000 classes of things. Russakovsky et al., 2015 (ILSVRC 2012)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from dassl.data.few_shot import sample_few_shot
from datasets.base.coop_compat import ClassNameCalls
from datasets.base.corruption import corrupt
from datasets.base.few_shot import recall, remember, say_small_classes
from datasets.base.imagenet_family import IMAGENET, all_items, class_items, folder_names, read_classnames
from datasets.base.listing_cache import list_classes
from datasets.base.splits import Split, SplitError, dataset_folder, subsample, unlabelled


@DATASET_REGISTRY.register()
class ImageNet(ClassNameCalls, DatasetBase):
    """The official training set, and the official validation set for testing, which is the validation split too.

    Files are taken in the order of their names, so that a seed chooses the same images on every file system; the
    published code takes the file system's order.
    """

    dataset_dir = IMAGENET

    def __init__(self, cfg: CfgNode):
        folder, shots = dataset_folder(cfg, self.dataset_dir), cfg.DATASET.NUM_SHOTS
        if shots < 1:
            split = self.whole(folder)
        else:
            split = Split(few_shot_train(folder, shots, cfg.SEED), [], _images(folder, "val"))
        of_all = _images(folder, "train") if getattr(cfg.DATASET, "UNLABELLED", False) else []
        train_u, self.domain_classnames = unlabelled(of_all, cfg)
        split = subsample(Split(split.train, [], split.test), cfg.DATASET.SUBSAMPLE_CLASSES)
        super().__init__(train_x=corrupt(split, cfg).train, train_u=train_u, val=split.test, test=split.test)

    @classmethod
    def whole(cls, folder: Path, seed: int = 1) -> Split:
        """All images.

        Raises:
            SplitError: a folder is missing, or one is no class of ImageNet.
        """
        test = _images(folder, "val")
        return Split(_images(folder, "train"), test, test)


def few_shot_train(folder: Path, shots: int, seed: int) -> list[Datum]:
    """`shots` training images of each class. Only those become objects, not the whole 1.28 million."""
    listing, names = _listed(folder, "train")
    images = folder / "images" / "train"
    stem = folder / "split_fewshot" / f"shot_{shots}-seed_{seed}" if seed >= 0 else None
    labels = {wnid: label for label, wnid in enumerate(listing)}

    def find(split: str, path: str) -> Datum:
        wnid, file = path.split("/")[-2:]
        try:
            return Datum(images / wnid / file, labels[wnid], 0, names[labels[wnid]])
        except FileNotFoundError as error:
            raise KeyError(path) from error

    origin = _fingerprint(listing)
    if stem and (chosen := recall(stem, folder, origin, find)):
        return chosen[0]
    rng, train = random.Random(seed if seed >= 0 else None), []
    for wnid, files in listing.items():
        group = class_items(images / wnid, files, labels[wnid], names[labels[wnid]])
        train += sample_few_shot(group, shots, rng)
    if shots > min(map(len, listing.values())):
        say_small_classes(train, shots)
    if stem:
        remember(stem, folder, origin, (train, []))
    return train


def _images(folder: Path, split: str) -> list[Datum]:
    listing, names = _listed(folder, split)
    return all_items(folder / "images" / split, names, listing)


def _listed(folder: Path, split: str) -> tuple[dict[str, list[str]], list[str]]:
    """The files of each class folder, and the folders' names."""
    images = folder / "images" / split
    if not images.is_dir():
        raise SplitError(
            f"There is no folder {images}. Is DATASET.ROOT (--root) right? `mmrl data prepare imagenet` says "
            f"what goes where."
        )
    listing = list_classes(images, cache=folder / f".listing_{split}.json")
    return listing, folder_names(read_classnames(folder), listing, images)


def _fingerprint(listing: dict[str, Iterable[str]]) -> str:
    digest = hashlib.sha256()
    for wnid, files in listing.items():
        digest.update("\n".join([wnid, *files, ""]).encode(errors="surrogatepass"))
    return digest.hexdigest()
