"""Benchmarks of several domains, for trainers with unlabelled images: a folder for each domain and class."""

from __future__ import annotations

from pathlib import Path

from yacs.config import CfgNode

from dassl.data.datasets.base_dataset import DatasetBase, Datum
from dassl.data.datasets.build import DATASET_REGISTRY
from dassl.utils.files import listdir_nohidden
from safeio.errors import MissingFile


class DomainFolders(DatasetBase):
    """Labelled images of the source domains; those of the target domains without labels, and to test on.

    Raises:
        MissingFile: a domain has no folder; the message names it.
    """

    def __init__(self, cfg: CfgNode):
        self.root = Path(cfg.DATASET.ROOT).expanduser().absolute() / self.dataset_dir
        self.check_input_domains(cfg.DATASET.SOURCE_DOMAINS, cfg.DATASET.TARGET_DOMAINS)
        target = self.images_of(cfg.DATASET.TARGET_DOMAINS)
        super().__init__(train_x=self.images_of(cfg.DATASET.SOURCE_DOMAINS), train_u=target, test=target)

    def images_of(self, domains: list[str]) -> list[Datum]:
        """Return the images of some domains; classes are numbered in the order of their folders' names."""
        found = []
        for number, domain in enumerate(domains):
            folder = self.folder_of(domain)
            if not folder.is_dir():
                raise MissingFile(f"There is no folder {folder}, the domain {domain}. Is DATASET.ROOT (--root) right?")
            for label, name in enumerate(listdir_nohidden(folder, sort=True)):
                for image in listdir_nohidden(folder / name, sort=True):
                    found.append(Datum(folder / name / image, label, number, name.lower()))
        return found

    def folder_of(self, domain: str) -> Path:
        """Return the folder with the classes of a domain."""
        return self.root / domain


@DATASET_REGISTRY.register()
class Office31(DomainFolders):
    """31 classes in three domains (Saenko et al., ECCV 2010)."""

    dataset_dir = "office31"
    domains = ("amazon", "webcam", "dslr")


@DATASET_REGISTRY.register()
class OfficeHome(DomainFolders):
    """65 classes in four domains (Venkateswara et al., CVPR 2017)."""

    dataset_dir = "office_home"
    domains = ("art", "clipart", "product", "real_world")


@DATASET_REGISTRY.register()
class VisDA17(DomainFolders):
    """Twelve classes, rendered and photographed (Peng et al., 2017); folders `train` and `validation`."""

    dataset_dir = "visda17"
    domains = ("synthetic", "real")

    def folder_of(self, domain: str) -> Path:
        return self.root / {"synthetic": "train", "real": "validation"}[domain]
