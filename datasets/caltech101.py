"""Caltech101: objects of 100 categories. Fei-Fei, Fergus and Perona, 2004."""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.benchmark import FolderPerClass


@DATASET_REGISTRY.register()
class Caltech101(FolderPerClass):
    """The clutter folder is no class, and of the two of faces one is left out."""

    dataset_dir = "caltech-101"
    image_dir = "101_ObjectCategories"
    split_file = "split_zhou_Caltech101.json"
    ignored = ("BACKGROUND_Google", "Faces_easy")
    renamed = {"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"}
