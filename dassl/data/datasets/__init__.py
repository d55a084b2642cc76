"""Names that a dataset file imports; the benchmarks themselves are registered from outside."""

from importlib import import_module
from typing import Any

from dassl.data.datasets.base_dataset import DatasetBase, Datum
from dassl.data.datasets.build import DATASET_REGISTRY, build_dataset
from dassl.utils.absent import absent

__all__ = ["DATASET_REGISTRY", "DatasetBase", "Datum", "build_dataset"]


OTHERS = absent(
    __name__,
    (
        *("CIFARSTL", "Digit5", "DomainNet", "miniDomainNet", "CIFAR10C", "CIFAR100C", "DigitsDG", "DigitSingle"),
        *("PACS", "VLCS", "OfficeHomeDG", "DomainNetDG", "IWildCam", "Camelyon17", "FMoW"),
        *("CIFAR10", "CIFAR100", "STL10", "SVHN"),
    ),
    "Images in folders of your own run by configs/datasets/folder.yaml.",
)


def __getattr__(name: str) -> Any:
    """Load datasets of several domains when they are asked for; say of upstream's others that they are not here."""
    if name in ("Office31", "OfficeHome", "VisDA17"):
        return getattr(import_module(f"{__name__}.domains"), name)
    return OTHERS(name)
