"""Read the packed photographs that the embedded CLIP is trained on.

A pack is an `.npz` with `bytes` (all encoded images, one after the other), `offsets` (N + 1), `labels` (N) and
`names`. Expected in one folder: `tiny_imagenet_train_{0,1,2}.npz`, `tiny_imagenet_val.npz`, `tiny_imagenet_wnids.txt`,
`cifar100_train.npz`, `cifar100_names.txt` and `imagenet_one_each_short96.npz`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE = 64  # pixels; the student's resolution
CLASS_NAMES = Path(__file__).parents[2] / "datasets" / "imagenet_classnames.txt"
CIFAR_VALIDATION = 5000  # of the 50,000 training images, held out for choosing settings


@dataclass
class Images:
    """Decoded images, (N, 3, 64, 64) uint8, with the class of each: (N,) int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: Tensor | slice) -> Images:
        return Images(self.pixels[chosen], self.labels[chosen])


def read_pack(path: Path, side: int = SIDE) -> Images:
    """Decode a pack; images of another size are scaled so that the short side fits, and cut at the centre."""
    with np.load(path) as pack:
        data, offsets, labels = pack["bytes"], pack["offsets"], pack["labels"]
    pixels = torch.empty(len(labels), 3, side, side, dtype=torch.uint8)
    for i in range(len(labels)):
        image = Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes())).convert("RGB")
        if image.size != (side, side):
            scale = side / min(image.size)
            size = [max(side, round(length * scale)) for length in image.size]
            left, top = ((length - side) // 2 for length in size)
            image = image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
        pixels[i] = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    return Images(pixels, torch.from_numpy(labels.astype(np.int64)))


def imagenet_classes() -> tuple[list[str], list[str]]:
    """Return WordNet ids and CLIP's class names of the 1,000 classes, in ImageNet's order."""
    pairs = [line.split(" ", 1) for line in CLASS_NAMES.read_text(encoding="utf-8").splitlines()]
    return [wnid for wnid, _ in pairs], [name for _, name in pairs]


def cifar_names(folder: Path) -> list[str]:
    """Return CIFAR-100's class names in the order of its labels."""
    return [line.replace("_", " ") for line in (folder / "cifar100_names.txt").read_text().split("\n") if line]


def tiny_imagenet_rows(folder: Path) -> Tensor:
    """Return (200,) the ImageNet class of each Tiny-ImageNet label."""
    wnids, _ = imagenet_classes()
    return torch.tensor([wnids.index(wnid) for wnid in (folder / "tiny_imagenet_wnids.txt").read_text().split()])


def read_training_images(folder: Path) -> tuple[Images, Images]:
    """Return (ImageNet images labelled by ImageNet class, CIFAR images labelled by CIFAR class) for training."""
    rows = tiny_imagenet_rows(folder)
    tiny = [read_pack(folder / f"tiny_imagenet_train_{part}.npz") for part in range(3)]
    single = read_pack(folder / "imagenet_one_each_short96.npz")
    labels = [rows[part.labels] for part in tiny]
    imagenet = Images(torch.cat([*(part.pixels for part in tiny), single.pixels]), torch.cat([*labels, single.labels]))
    return imagenet, read_pack(folder / "cifar100_train.npz")


def held_out_of_cifar(count: int) -> Tensor:
    """Return (count,) bool: the CIFAR images that are used for validation and never for training."""
    held = torch.zeros(count, dtype=torch.bool)
    held[torch.randperm(count, generator=torch.Generator().manual_seed(1))[:CIFAR_VALIDATION]] = True
    return held


def read_validation_images(folder: Path) -> Images:
    """Return Tiny-ImageNet's validation images, labelled by Tiny-ImageNet class (0 to 199)."""
    return read_pack(folder / "tiny_imagenet_val.npz")
