"""Evaluation crops on disk: what the test transform makes of a image, kept as uint8 in a memory-mapped file.

A file ("pack") holds the crops of one list of images under one transform, row by row, each with a checksum.
Its name is a digest of the transform, the libraries that compute it, and every image's path, size and time
of change: whatever could change a crop gives another pack. Runs that use a pack at the same time fill it
together; a row is read only if its checksum fits, so a cut or damaged file costs time, never a wrong number.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torchvision
from torchvision import transforms as T
from yacs.config import CfgNode

from dassl.data.datasets.base_dataset import Datum
from dassl.data.wrapper import DatasetWrapper
from safeio.images import read_image
from safeio.packed_images import container_of
from safeio.user_folders import user_cache

GIB = 2**30
FOLDER_VARIABLE = "CROP_CACHE"
HALF_MADE, HALF_MADE_SECONDS = ".making", 600


def cache_folder() -> Path:
    """Where packs are: the folder that CROP_CACHE names, else the user's cache folder."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    return user_cache() / "few-shot-crops"


class CropPack:
    """Crops (N, H, W, 3) of uint8 in a file.

    Args:
        path: the file; made by `reserve`.
        count: N; size: (H, W).
    """

    def __init__(self, path: Path, count: int, size: tuple[int, int]):
        self.path, self.count, self.size = path, count, size
        self._maps: tuple[np.memmap, np.memmap] | None = None

    @property
    def bytes_per_crop(self) -> int:
        return self.size[0] * self.size[1] * 3

    @property
    def bytes(self) -> int:
        """Size of the whole file: checksums, then crops."""
        return self.count * (4 + self.bytes_per_crop)

    def reserve(self) -> None:
        """Make the file if it is not there, its space set aside, so that a full disk shows now and not later.

        Raises:
            OSError: no space, or a folder that cannot be written.
        """
        if self.path.is_file() and self.path.stat().st_size == self.bytes:
            os.utime(self.path)  # what is used stays longest
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half_made = self.path.with_suffix(f".{os.getpid()}{HALF_MADE}")
        try:
            with open(half_made, "wb") as file:
                _set_aside(file.fileno(), self.bytes)
            os.replace(half_made, self.path)
        finally:
            half_made.unlink(missing_ok=True)

    def read(self, index: int) -> np.ndarray | None:
        """Crop (H, W, 3), None if it is not there or damaged."""
        if (maps := self._mapped()) is None:
            return None
        checksums, crops = maps
        crop = np.array(crops[index])
        return crop if checksums[index] == _checksum(crop) else None

    def write(self, index: int, crop: np.ndarray) -> None:
        """Keep a crop, where there still is a file for it; its checksum goes last."""
        if (maps := self._mapped()) is None:
            return
        checksums, crops = maps
        crops[index] = crop
        checksums[index] = _checksum(crop)

    def _mapped(self) -> tuple[np.memmap, np.memmap] | None:
        """Checksums and crops; None if the file is gone, which another run's need of room may have brought about."""
        if self._maps is None:
            try:
                with open(self.path, "r+b") as file:
                    if os.fstat(file.fileno()).st_size != self.bytes:
                        return None
                    checksums = np.memmap(file, np.uint32, "r+", 0, (self.count,))
                    crops = np.memmap(file, np.uint8, "r+", 4 * self.count, (self.count, *self.size, 3))
            except OSError:
                return None
            self._maps = checksums, crops
        return self._maps

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": None}  # each process maps the file itself


class CachedCrops(DatasetWrapper):
    """As `DatasetWrapper` with the test transform, each crop made once and then read from a pack."""

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
    folder, limit = cache_folder(), int(cfg.DATALOADER.CACHE_GIB * GIB)
    try:
        name = f"{_digest(data_source, split_transform(transform)[0], plain)}.crops"
        pack = CropPack(folder / name, len(data_source), tuple(cfg.INPUT.SIZE))
        make_room(folder, name, pack.bytes, limit)
        pack.reserve()
    except OSError as error:
        print(f"Evaluation crops are not cached in {folder}: {error}", file=sys.stderr)
        return plain
    return CachedCrops(cfg, data_source, transform, pack)


def make_room(folder: Path, name: str, needed: int, limit: int) -> None:
    """Remove the packs that were not used for longest until `needed` bytes more stay within `limit`.

    Raises:
        OSError: the pack alone is over the limit, or the disk has no room for it.
    """
    if needed > limit:
        raise OSError(f"they would take {needed / GIB:.1f} GiB, the limit DATALOADER.CACHE_GIB is {limit / GIB:.1f}")
    if not folder.is_dir() or (folder / name).is_file():
        return
    remove_half_made(folder)
    packs = sorted(_packs(folder))
    held = sum(size for _, _, size in packs)
    for _, path, size in packs:
        if held + needed <= limit:
            break
        held -= size
        path.unlink(missing_ok=True)  # runs that have it mapped keep it until they end, others decode again
    free = shutil.disk_usage(folder).free
    if needed > free - GIB:
        raise OSError(f"they would take {needed / GIB:.1f} GiB, the disk has {free / GIB:.1f} GiB left")


def remove_half_made(folder: Path) -> None:
    """Remove packs that a killed run left half made: making one takes seconds."""
    for path in folder.glob(f"*{HALF_MADE}"):
        with contextlib.suppress(OSError):  # another run removed it, or it is another user's
            if time.time() - path.stat().st_mtime > HALF_MADE_SECONDS:
                path.unlink()


def _packs(folder: Path) -> Iterator[tuple[float, Path, int]]:
    """When each pack was last used, its path, its bytes."""
    for path in (*folder.glob("*.crops"), *folder.glob(f"*{HALF_MADE}")):
        with contextlib.suppress(FileNotFoundError):  # another run made room meanwhile
            stat = path.stat()
            yield stat.st_mtime, path, stat.st_size


def _digest(data_source: Sequence[Datum], crop: T.Compose, wrapper: DatasetWrapper) -> str:
    about = [repr(crop), PIL.__version__, torchvision.__version__]
    if wrapper.upright:
        about.append("upright")
    for datum in data_source:
        stat = os.stat(container_of(datum.impath))
        about.append([os.path.abspath(datum.impath), stat.st_size, stat.st_mtime_ns])
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def _checksum(crop: np.ndarray) -> int:
    return zlib.crc32(crop) or 1  # zero marks a row that was never written


def _set_aside(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
