"""The table of benchmarks."""

from __future__ import annotations

from yacs.config import CfgNode

from dassl.data.datasets.base_dataset import DatasetBase
from dassl.utils.names import check_availability
from dassl.utils.registry import Registry

DATASET_REGISTRY = Registry("DATASET")


def build_dataset(cfg: CfgNode) -> DatasetBase:
    """The benchmark ``cfg.DATASET.NAME``.

    Raises:
        ValueError: nothing is registered under that name.
    """
    check_availability(cfg.DATASET.NAME, DATASET_REGISTRY.registered_names(), kind="dataset")
    if cfg.VERBOSE:
        print(f"Loading dataset: {cfg.DATASET.NAME}")
    return DATASET_REGISTRY.get(cfg.DATASET.NAME)(cfg)
