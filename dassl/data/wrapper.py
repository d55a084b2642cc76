"""From a list of pictures on disk to the items of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms as T
from yacs.config import CfgNode

from dassl.data.datasets.base_dataset import Datum
from dassl.data.transforms.transforms import INTERPOLATION_MODES
from dassl.utils.files import read_image

Transform = Callable[[Any], Any]


class DatasetWrapper(Dataset):
    """Reads and transforms pictures.

    An item is a dictionary: ``label``, ``domain``, ``impath``, ``index`` (position in ``data_source``),
    ``img``; from a list of transforms also ``img2``, ``img3`` ...; and ``img0``, the picture without
    augmentation, when ``cfg.DATALOADER.RETURN_IMG0``. In training, K_TRANSFORMS > 1 makes each ``img*`` a
    list of that many draws.

    Args:
        transform: from a PIL picture to a tensor (3, H, W), or several of them. None leaves the PIL picture.

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
        self.return_img0 = cfg.DATALOADER.RETURN_IMG0
        if self.k_tfm > 1 and transform is None:
            raise ValueError(f"DATALOADER.K_TRANSFORMS is {self.k_tfm}, but there is no transform to apply")
        self.to_tensor = _without_augmentation(cfg)

    def __len__(self) -> int:
        return len(self.data_source)

    def __getitem__(self, idx: int) -> dict[str, Any]:
        datum = self.data_source[idx]
        item = {"label": datum.label, "domain": datum.domain, "impath": datum.impath, "index": idx}
        img0 = read_image(datum.impath)
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
