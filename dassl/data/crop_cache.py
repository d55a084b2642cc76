"""Evaluation crops on disk: what the test transform makes of an image, kept as uint8 (`row_pack.py`).

A pack holds the crops of one list of images under one transform, of which its name is a digest, with the libraries
that compute it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torchvision
from torchvision import transforms as T
from yacs.config import CfgNode

from dassl.data.datasets.base_dataset import Datum
from dassl.data.row_pack import GIB, RowPack, cache_folder, digest, open_pack
from dassl.data.wrapper import DatasetWrapper
from safeio.images import read_image


class CropPack(RowPack):
    """Crops (N, H, W, 3) of uint8 in a file; `size` is (H, W)."""

    def __init__(self, path: Path, count: int, size: tuple[int, int]):
        super().__init__(path, count, (*size, 3), np.uint8)


class CachedCrops(DatasetWrapper):
    """A `DatasetWrapper` with the test transform, each crop made once and then read from a pack."""

    def __init__(self, cfg: CfgNode, data_source: Sequence[Datum], transform: T.Compose, pack: CropPack):
        super().__init__(cfg, data_source, transform)
        self.pack = pack
        self.crop, self.finish = split_transform(transform)

    def __getitem__(self, idx: int) -> dict[str, Any]:
        item, crop = self.about(idx), self.pack.read(idx)
        if crop is None:
            crop = np.array(self.crop(read_image(item["impath"], self.upright)))
            self.pack.write(idx, crop)
        return {**item, "img": self.finish(crop)}


def split_transform(transform: T.Compose) -> tuple[T.Compose, T.Compose]:
    """Image -> crop, and crop -> tensor: what stands before `ToTensor`, and the rest."""
    at = next(i for i, step in enumerate(transform.transforms) if isinstance(step, T.ToTensor))
    return T.Compose(transform.transforms[:at]), T.Compose(transform.transforms[at:])


def evaluation_wrapper(cfg: CfgNode, data_source: Sequence[Datum], transform: Callable) -> DatasetWrapper:
    """The test images through the crop cache where that is possible, else plain, with a line that says why."""
    plain = DatasetWrapper(cfg, data_source, transform)
    steps = getattr(transform, "transforms", ())
    fixed_size = any(isinstance(step, T.CenterCrop) for step in steps) and any(
        isinstance(step, T.ToTensor) for step in steps
    )
    if not (cfg.DATALOADER.CACHE and fixed_size) or cfg.DATALOADER.RETURN_IMG0:
        return plain
    folder, limit = cache_folder(), int(cfg.DATALOADER.CACHE_DISK_GIB * GIB)
    try:
        about = [repr(split_transform(transform)[0]), PIL.__version__, torchvision.__version__]
        about += ["upright"] if plain.upright else []
        path = folder / f"{digest(data_source, *about)}.crops"
        pack = open_pack(CropPack(path, len(data_source), tuple(cfg.INPUT.SIZE)), limit)
    except OSError as error:
        print(f"Evaluation crops are not cached in {folder}: {error}", file=sys.stderr)
        return plain
    return CachedCrops(cfg, data_source, transform, pack)
