"""Datasets inside the repository: a tar of small images, read in place, with its index and a split file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DATASET_REGISTRY, DatasetBase, Datum
from datasets.base.corruption import corrupt
from datasets.base.few_shot import few_shot
from datasets.base.splits import Split, subsample, unlabelled
from safeio.errors import UserError
from safeio.packed_images import packed_bytes, tar_address
from safeio.read_back import read_json

EMBEDDED = Path(__file__).parents[1] / "embedded"
ARCHIVE, INDEX = "images.tar", "images.json"
REMEDY = "Install the package again."


@cache
def addresses(folder: Path) -> Mapping[str, str]:
    """Return where each image of a dataset's tar lies: name -> address for `safeio.images.read_image`.

    The index (name -> offset and size in bytes) saves reading 8,000 headers at each start.
    """
    index = read_json(folder / INDEX, {str: (int, int)}, REMEDY)
    return {name: tar_address(folder / ARCHIVE, offset, size, name) for name, (offset, size) in index.items()}


class EmbeddedDataset(DatasetBase):
    """Images of `datasets/embedded/<dataset_dir>`; `DATASET.ROOT` is not used, and nothing is written.

    Attributes:
        split_file: JSON of the lists `train`, `val` and `test`, each of `[path in the tar, label, class name]`.
    """

    split_file = ""

    def __init__(self, cfg: CfgNode):
        folder = EMBEDDED / self.dataset_dir
        whole = self.whole()
        train_u, self.domain_classnames = unlabelled(whole.train, cfg)
        split = few_shot(whole, cfg.DATASET.NUM_SHOTS, cfg.SEED, folder)
        split = corrupt(subsample(split, cfg.DATASET.SUBSAMPLE_CLASSES), cfg)
        super().__init__(train_x=split.train, train_u=train_u, val=split.val, test=split.test)

    @classmethod
    def whole(cls) -> Split:
        """Return all images, in the order of the split file."""
        folder = EMBEDDED / cls.dataset_dir
        where, rows = addresses(folder), read_json(folder / cls.split_file, dict.fromkeys(Split._fields, list), REMEDY)
        lists = [[Datum.listed(where[path], label, 0, name) for path, label, name in rows[p]] for p in Split._fields]
        return Split(*lists)


class ChangedLook(EmbeddedDataset):
    """The test images of an embedded dataset with another look, as ImageNet-Sketch is to ImageNet.

    As for the ImageNet variants the training list repeats the test list: only its class names are used.
    `DATASET.NUM_SHOTS` therefore does nothing.
    """

    def __init__(self, cfg: CfgNode):
        test = self.whole().test
        split = subsample(Split(test, [], test), cfg.DATASET.SUBSAMPLE_CLASSES)
        DatasetBase.__init__(self, train_x=split.train, test=split.test)


def unpack(name: str, folder: Path, split: str = "test", classes: int = 0, images: int = 0) -> list[str]:
    """Write an embedded dataset's images as files, one folder for each class; return the class names.

    Args:
        name: of configs/datasets, for example clothing_64.
        folder: empty or new.
        split: train, val or test.
        classes, images: the first so many classes, and images of each; 0: all.
    """
    builders = [DATASET_REGISTRY.get(registered) for registered in DATASET_REGISTRY.registered_names()]
    embedded = {b.dataset_dir: b for b in builders if issubclass(b, EmbeddedDataset) and not issubclass(b, ChangedLook)}
    if name not in embedded:
        raise UserError(f"There are no images of {name!r} inside the package, only of {', '.join(sorted(embedded))}.")
    if classes < 0 or images < 0:
        raise UserError("The numbers of classes and images are 0 (all) or more.")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: name a new folder.")
    items = getattr(embedded[name].whole(), split)
    names = dict(sorted({item.label: item.classname for item in items}.items())[: classes or None])
    written = dict.fromkeys(names, 0)
    for item in items:
        if item.label in names and not 0 < images <= written[item.label]:
            file = folder / names[item.label] / Path(item.impath).name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(packed_bytes(item.impath))
            written[item.label] += 1
    return list(names.values())
