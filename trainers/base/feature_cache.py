"""Features of frozen images, computed once: by image, view and backbone, on disk between runs.

The cache keeps a row (D,) in float32 for each image: the input of the image encoder's last projection. Methods on
frozen features use the same rows, whether they work before or after the projection. A view is the image under the test
transform (None) or one augmentation of it (0, 1, ...). It depends on the run's seed, the image's place in the list and
the view's number alone, so it is the same in every process and draws nothing from the run's random generators.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from yacs.config import CfgNode

from dassl.data.loader import Loader
from dassl.data.row_pack import GIB, RowPack, cache_folder, digest, open_pack
from dassl.data.wrapper import DatasetWrapper
from dassl.utils.phases import phase
from safeio.progress import print_line, progress
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.precision import Precision

View = int | None
AT_ONCE = 64
"""Largest number of images in an encoder's batch; not DATALOADER.TEST.BATCH_SIZE, because methods that have different
ones would have rows that differ in their last bits, and could not share them."""


class FeatureCache:
    """Encodes images once.

    Args:
        cfg: of the run: seed, loader settings, whether and how much is kept on disk (DATALOADER.CACHE, CACHE_DISK_GIB).
        clip, precision: the CLIP that encodes, and its number type.

    Attributes:
        read: whether the newest rows, or some of them, were read from disk.
    """

    read: bool = False

    def __init__(self, cfg: CfgNode, clip: FrozenCLIP, precision: Precision):
        self.cfg, self.clip, self.precision = cfg, clip, precision
        self.seed = cfg.SEED if cfg.SEED >= 0 else torch.initial_seed()

    def rows(self, images: DatasetWrapper, views: Sequence[View] = (None,)) -> Tensor:
        """Return rows (V, N, D), float32, of some views of all images of a list, in its order.

        If a row is missing, its whole batch is encoded: a row's last bits may depend on the others in its batch.
        """
        packs = [self._pack(images, view) for view in views]
        found = {
            (v, i): None if pack is None else pack.read(i) for v, pack in enumerate(packs) for i in range(len(images))
        }
        self.read = any(row is not None for row in found.values())
        if damaged := sum(pack.damaged for pack in packs if pack is not None):
            print_line(f"{damaged:,} cached features in {cache_folder()} are damaged: they are computed again")
        size, count = self.at_once, len(images)
        parts = [range(count)[first : first + size] for first in range(0, count, size)]
        batches = [[(v, i) for i in part] for v in range(len(views)) for part in parts]
        wanted = [batch for batch in batches if any(found[key] is None for key in batch)]
        encoded = self._encoded(images, [[(i, views[v]) for v, i in batch] for batch in wanted])
        for (v, i), row in zip(chain.from_iterable(wanted), encoded, strict=True):
            found[v, i] = row
            if packs[v] is not None:
                packs[v].write(i, row)
        stacked = torch.from_numpy(np.stack(list(found.values())))
        return stacked.unflatten(0, (len(views), count)).to(self.clip.device)

    @property
    def at_once(self) -> int:
        """Number of images in a batch."""
        return min(AT_ONCE, self.cfg.DATALOADER.TEST.BATCH_SIZE)

    def _pack(self, images: DatasetWrapper, view: View) -> RowPack | None:
        """Return the file of a view's rows; None if nothing is kept, with a warning that says why if it should be."""
        if not self.cfg.DATALOADER.CACHE or (view is not None and self.cfg.SEED < 0):
            return None
        transform, folder = images.transform, cache_folder()
        about = [repr(transform), PIL.__version__, torchvision.__version__, torch.__version__]
        about += [self.clip.fingerprint, self.precision.name, self.clip.device.type]
        about += [self.at_once, torch.get_num_threads()]  # sums are rounded by their order
        about += ["upright"] if images.upright else []
        about += [] if view is None else [view, self.seed]
        try:
            path = folder / f"{digest(images.data_source, *about)}.features"
            pack = RowPack(path, len(images), (self.clip.visual.pooled_width,), np.float32)
            return open_pack(pack, int(self.cfg.DATALOADER.CACHE_DISK_GIB * GIB))
        except OSError as error:
            print_line(f"Features are not cached in {folder}: {error}")
            return None

    @torch.no_grad()
    def _encoded(self, images: DatasetWrapper, batches: Sequence[Sequence[tuple[int, View]]]) -> Iterator[np.ndarray]:
        """Rows (D,) of the images in these batches, each under its view."""
        wanted = [*chain.from_iterable(batches)]
        if not wanted:
            return
        if len({view for _, view in wanted}) > 1:
            images.keep_decoded(self.cfg.DATALOADER.CACHE_MEMORY_GIB)
        places = iter(range(len(wanted)))
        loader = Loader(
            Views(images, wanted, self.seed),
            batch_sampler=[[next(places) for _ in batch] for batch in batches],
            num_workers=self.cfg.DATALOADER.NUM_WORKERS,
            generator=torch.Generator(),  # the loader itself draws a number, which must not be the run's
        )
        for batch in progress(loader, "features"):
            with self.precision.context(), phase("evaluation"):
                rows = self.clip.pool(batch.to(self.clip.device)).float().cpu().numpy()
            yield from rows


class Views(Dataset):
    """Images (3, S, S), each under a view of its own.

    Args:
        images: the list; wanted: place in it and view, for each item.
        seed: what augmentations depend on besides.
    """

    def __init__(self, images: DatasetWrapper, wanted: Sequence[tuple[int, View]], seed: int):
        self.images, self.wanted, self.seed = images, wanted, seed

    def __len__(self) -> int:
        return len(self.wanted)

    def __getitem__(self, index: int) -> Tensor:
        image, view = self.wanted[index]
        if view is None:
            return self.images[image]["img"]
        with generators_from(self.seed, image, view):
            return self.images[image]["img"]


@contextmanager
def generators_from(*numbers: int) -> Iterator[None]:
    """Seed the CPU's global random generators from some numbers for this block, and restore them after it."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    state = np.random.SeedSequence(numbers).generate_state(2)
    random.seed(int(state[0]))
    np.random.seed(int(state[0]))
    torch.random.default_generator.manual_seed(int(state[1]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


class CachedRows(Dataset):
    """A list of images whose items hold their cached row (D,) in place of the image; read when first asked for.

    Attributes:
        read: whether rows were read that another run has computed.
    """

    read = False

    def __init__(self, cache: FeatureCache, images: DatasetWrapper):
        self.cache, self.images, self._rows = cache, images, None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.images.about(index), "img": self.prepare()[index]}

    def prepare(self) -> Tensor:
        """Read or compute the rows (N, D), if it is not done yet; called while no other progress bar is shown."""
        if self._rows is None:
            self._rows, self.read = self.cache.rows(self.images)[0].cpu(), self.cache.read
        return self._rows


def loader_of_rows(cache: FeatureCache, loader: DataLoader | None) -> DataLoader | None:
    """Return a loader with the same batches, of cached rows; None where there is none."""
    if loader is None:
        return None
    return DataLoader(CachedRows(cache, loader.dataset), batch_size=loader.batch_size)
