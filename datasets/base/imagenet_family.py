"""Shared code of ImageNet and its variants: class folders named by WordNet number, and the names for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DatasetBase, Datum
from datasets.base.benchmark import lines
from datasets.base.listing_cache import list_classes
from datasets.base.splits import Split, SplitError, dataset_folder, existing_folder

IMAGENET = "imagenet"
NAMES_FILE = "classnames.txt"
CLIP_NAMES = Path(__file__).parents[1] / "imagenet_classnames.txt"
"""The names that CLIP's authors chose, in the order of WordNet numbers; byte for byte CoOp's `classnames.txt`."""
CLASSES = 1000


def read_classnames(folder: Path) -> dict[str, str]:
    """WordNet number -> name, from the `classnames.txt` of a dataset's folder or of ImageNet's, else CLIP's.

    A line is the number, a space, and the name. The order is the file's.

    Raises:
        SplitError: the file holds something else.
    """
    places = (folder / NAMES_FILE, folder.parent / IMAGENET / NAMES_FILE)
    file = next((place for place in places if place.is_file()), CLIP_NAMES)
    found = dict(line.partition(" ")[::2] for line in lines(file))
    if not all(found.values()):
        raise SplitError(f"{file} is not a list of names: a line is WordNet number, space, name.")
    if file != CLIP_NAMES:
        say_other_names(file)
    return found


@cache
def say_other_names(file: Path) -> None:
    """Say, once, that a file of the user's names classes otherwise than CLIP's authors did; several such are in use."""
    of_clip = dict(line.partition(" ")[::2] for line in lines(CLIP_NAMES))
    given = dict(line.partition(" ")[::2] for line in lines(file))
    other = [wnid for wnid, name in given.items() if of_clip.get(wnid, name) != name]
    if other:
        print(
            f"Warning: {file} gives {len(other)} classes other names than CLIP's authors, such as {other[0]} "
            f"{given[other[0]]!r} instead of {of_clip[other[0]]!r}: results cannot be compared with published ones. "
            f"Remove that file to use theirs."
        )


def class_items(folder: Path, files: list[str], label: int, name: str) -> list[Datum]:
    """The images of one class folder."""
    return [Datum.listed(f"{folder}/{file}", label, 0, name) for file in files]


def all_items(folder: Path, names: list[str], listing: dict[str, list[str]]) -> list[Datum]:
    """The images of all class folders; the label is the folder's position."""
    classes = zip(listing.items(), names, strict=True)
    return [d for i, ((wnid, files), name) in enumerate(classes) for d in class_items(folder / wnid, files, i, name)]


def folder_names(names: dict[str, str], listing: dict[str, list[str]], folder: Path) -> list[str]:
    """The name of each class folder.

    Raises:
        SplitError: a folder is not in classnames.txt, or there is no folder at all.
    """
    unknown = [wnid for wnid in listing if wnid not in names]
    if unknown or not listing:
        what = f"the folder {unknown[0]}, which classnames.txt does not name" if unknown else "no class folders"
        raise SplitError(f"{folder} holds {what}. Class folders are named by WordNet number, such as n01440764.")
    return [names[wnid] for wnid in listing]


class ImageNetVariant(DatasetBase):
    """Images for testing alone, in class folders. The training list repeats them: only its names are used.

    `DATASET.NUM_SHOTS` and `DATASET.SUBSAMPLE_CLASSES` do nothing, as in the published code.

    Attributes:
        dataset_dir: folder below `DATASET.ROOT`.
        image_dir: folder in it that holds the class folders.
    """

    image_dir = ""

    def __init__(self, cfg: CfgNode):
        split = self.whole(dataset_folder(cfg, self.dataset_dir))
        super().__init__(train_x=split.train, test=split.test)

    @classmethod
    def whole(cls, folder: Path, seed: int = 1) -> Split:
        """All images.

        Raises:
            SplitError: the folder is missing, or a folder in it is no class of ImageNet.
        """
        images = existing_folder(folder / cls.image_dir)
        listing = list_classes(images, cache=folder / ".listing_test.json")
        items = cls.numbered(images, read_classnames(folder), listing)
        return Split(items, [], items)

    @classmethod
    def numbered(cls, images: Path, names: dict[str, str], listing: dict[str, list[str]]) -> list[Datum]:
        """The images with their labels: here the folder's position."""
        return all_items(images, folder_names(names, listing, images), listing)
