"""What ImageNet and its variants share: class folders named by WordNet number, and the names for them."""

from __future__ import annotations

from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets import DatasetBase, Datum
from datasets._benchmark import lines
from datasets._listing import list_classes
from datasets._splits import Split, SplitError, dataset_folder

IMAGENET = "imagenet"
CLASSES = 1000


def read_classnames(folder: Path) -> dict[str, str]:
    """WordNet number -> name, from the `classnames.txt` of a dataset's folder or of ImageNet's beside it.

    A line is the number, a space, and the name. The order is the file's.

    Raises:
        SplitError: there is no such file, or it holds something else.
    """
    places = [folder / "classnames.txt", folder.parent / IMAGENET / "classnames.txt"]
    for file in places:
        if file.is_file():
            found = dict(line.partition(" ")[::2] for line in lines(file))
            if not all(found.values()):
                raise SplitError(f"{file} is not a list of names: a line is WordNet number, space, name.")
            return found
    raise SplitError(
        f"There is no {places[0]}: the names of ImageNet's classes, a line each of WordNet number, space, name. "
        f"`python -m datasets.prepare ImageNet` says where to get it."
    )


def class_items(folder: Path, files: list[str], label: int, name: str) -> list[Datum]:
    """The pictures of one class folder."""
    return [Datum.listed(f"{folder}/{file}", label, 0, name) for file in files]


def all_items(folder: Path, names: list[str], listing: dict[str, list[str]]) -> list[Datum]:
    """The pictures of all class folders; the label is the folder's position."""
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
    """Pictures for testing alone, in class folders. The training list repeats them: only its names are used.

    `DATASET.NUM_SHOTS` and `DATASET.SUBSAMPLE_CLASSES` do nothing, as in the published code.

    Attributes:
        dataset_dir: folder below `DATASET.ROOT`.
        picture_dir: folder in it that holds the class folders.
    """

    picture_dir = ""

    def __init__(self, cfg: CfgNode):
        split = self.whole(dataset_folder(cfg, self.dataset_dir))
        super().__init__(train_x=split.train, test=split.test)

    @classmethod
    def whole(cls, folder: Path, seed: int = 1) -> Split:
        """All pictures.

        Raises:
            SplitError: the folder or the class names are missing, or a folder is no class of ImageNet.
        """
        pictures = folder / cls.picture_dir
        if not pictures.is_dir():
            raise SplitError(
                f"There is no folder {pictures}. Is DATASET.ROOT right? `python -m datasets.prepare` says how to "
                f"get it."
            )
        listing = list_classes(pictures, cache=folder / ".listing_test.json")
        items = cls.numbered(pictures, read_classnames(folder), listing)
        return Split(items, [], items)

    @classmethod
    def numbered(cls, pictures: Path, names: dict[str, str], listing: dict[str, list[str]]) -> list[Datum]:
        """The pictures with their labels: here the folder's position."""
        return all_items(pictures, folder_names(names, listing, pictures), listing)
