"""EuroSAT: land seen by Sentinel-2, the RGB version. Helber et al., 2019."""

from __future__ import annotations

from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.benchmark import FolderPerClass


@DATASET_REGISTRY.register()
class EuroSAT(FolderPerClass):
    """Classes are numbered by folder and named in words."""

    dataset_dir = "eurosat"
    image_dir = "2750"
    split_file = "split_zhou_EuroSAT.json"
    renamed = {
        "AnnualCrop": "Annual Crop Land",
        "HerbaceousVegetation": "Herbaceous Vegetation Land",
        "Highway": "Highway or Road",
        "Industrial": "Industrial Buildings",
        "Pasture": "Pasture Land",
        "PermanentCrop": "Permanent Crop Land",
        "Residential": "Residential Buildings",
        "SeaLake": "Sea or Lake",
    }
