"""ImageNetV2: ImageNet's test set collected once more, the matched-frequency version. Recht et al., 2019."""

from __future__ import annotations

from pathlib import Path

from dassl.data.datasets import DATASET_REGISTRY, Datum
from datasets.base.imagenet_family import CLASSES, ImageNetVariant, all_items, folder_names
from datasets.base.splits import SplitError


@DATASET_REGISTRY.register()
class ImageNetV2(ImageNetVariant):
    """Class folders are named by label, `0` to `999`; copies named by WordNet number are read too."""

    dataset_dir = "imagenetv2"
    image_dir = "imagenetv2-matched-frequency-format-val"

    @classmethod
    def numbered(cls, images: Path, names: dict[str, str], listing: dict[str, list[str]]) -> list[Datum]:
        if len(listing) != CLASSES or len(names) != CLASSES:
            raise SplitError(
                f"{images} has {len(listing)} class folders and classnames.txt {len(names)} lines; both must be "
                f"{CLASSES}."
            )
        if not all(name.isdecimal() for name in listing):
            return all_items(images, folder_names(names, listing, images), listing)
        try:
            ordered = {str(label): listing[str(label)] for label in range(CLASSES)}
        except KeyError as error:
            raise SplitError(f"{images} has no class folder {error.args[0]}; expected 0 to {CLASSES - 1}.") from error
        return all_items(images, list(names.values()), ordered)  # line n of the file is label n
