"""Reading of a list of images on disk into the items of a batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms as T
from yacs.config import CfgNode

from dassl.data.datasets.base_dataset import Datum
from dassl.data.transforms.transforms import INTERPOLATION_MODES
from safeio.images import read_image

Transform = Callable[[Any], Any]
READ_AT_ONCE = 256
"""Images decoded ahead while others are counted against the memory limit."""


class DatasetWrapper(Dataset):
    """Reads and transforms images.

    An item is a dictionary: ``label``, ``domain``, ``impath``, ``index`` (position in ``data_source``),
    ``img``; from a list of transforms also ``img2``, ``img3`` ...; and ``img0``, the image without
    augmentation, when ``cfg.DATALOADER.RETURN_IMG0``. In training, K_TRANSFORMS > 1 makes each ``img*`` a
    list of that many draws.

    Args:
        transform: from a PIL image to a tensor (3, H, W), or several of them. None leaves the PIL image.

    Raises:
        ValueError: K_TRANSFORMS > 1 without a transform.
    """

    def __init__(
        self,
        cfg: CfgNode,
        data_source: Sequence[Datum],
        transform: Transform | Sequence[Transform] | None = None,
        is_train: bool = False,
    ):
        self.cfg = cfg
        self.data_source = data_source
        self.transform = transform
        self.is_train = is_train
        self.k_tfm = cfg.DATALOADER.K_TRANSFORMS if is_train else 1
        self.upright = cfg.INPUT.get("UPRIGHT", False)
        self.return_img0 = cfg.DATALOADER.RETURN_IMG0
        if self.k_tfm > 1 and transform is None:
            raise ValueError(f"DATALOADER.K_TRANSFORMS is {self.k_tfm}, but there is no transform to apply")
        self.to_tensor = _without_augmentation(cfg)
        self.decoded: dict[int, Image.Image] = {}

    def keep_decoded(self, gib: float) -> None:
        """Decode the images now and keep as many of the first as fit into `gib` GiB; worker processes share them."""
        left = gib * 2**30
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            read = partial(read_image, upright=self.upright)
            for first in range(0, len(self.data_source), READ_AT_ONCE):
                paths = [datum.impath for datum in self.data_source[first : first + READ_AT_ONCE]]
                for index, image in enumerate(threads.map(read, paths), start=first):
                    left -= image.width * image.height * 3
                    if left < 0:
                        return
                    self.decoded[index] = image

    def __len__(self) -> int:
        return len(self.data_source)

    def __getitem__(self, idx: int) -> dict[str, Any]:
        item = self.about(idx)
        img0 = self.decoded.get(idx) or read_image(item["impath"], self.upright)
        if self.transform is None:
            item["img"] = img0
        elif isinstance(self.transform, (list, tuple)):
            for number, transform in enumerate(self.transform, start=1):
                item["img" if number == 1 else f"img{number}"] = self._transform_image(transform, img0)
        else:
            item["img"] = self._transform_image(self.transform, img0)
        if self.return_img0:
            item["img0"] = self.to_tensor(img0)
        return item

    def about(self, idx: int) -> dict[str, Any]:
        """An item without its images."""
        datum = self.data_source[idx]
        return {"label": datum.label, "domain": datum.domain, "impath": datum.impath, "index": idx}

    def _transform_image(self, transform: Transform, img0: Any) -> Tensor | list[Tensor]:
        images = [transform(img0) for _ in range(self.k_tfm)]
        return images[0] if self.k_tfm == 1 else images


def _without_augmentation(cfg: CfgNode) -> T.Compose:
    """Resize to SIZE, to tensor, and normalise if the configured transforms do."""
    mode = INTERPOLATION_MODES[cfg.INPUT.INTERPOLATION]
    steps = [T.Resize(cfg.INPUT.SIZE, interpolation=mode), T.ToTensor()]
    if "normalize" in cfg.INPUT.TRANSFORMS:
        steps.append(T.Normalize(mean=cfg.INPUT.PIXEL_MEAN, std=cfg.INPUT.PIXEL_STD))
    return T.Compose(steps)
