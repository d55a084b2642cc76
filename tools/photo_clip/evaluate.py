"""Measure the embedded CLIP without any training: zero-shot top-1 accuracy of "a photo of a NAME.".

    python -m tools.photo_clip.evaluate PHOTOS
    python -m tools.photo_clip.evaluate PHOTOS --teacher WORK

Tiny-ImageNet's validation images (200 ways), Caltech101's test images (base, new: 50 ways; all: 100 ways) and the
clothes' test images (10 ways). Only Tiny-ImageNet's accuracy was ever used to choose anything. With `--teacher`, the
teacher's features of the same 64 pixels stand in for the image encoder's: what the text encoder allows.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import clip
import datasets  # noqa: F401  (registers the builders)
from clip.preprocess import MEAN, STD
from dassl.data.datasets import DATASET_REGISTRY
from safeio.images import read_image
from tools.photo_clip.packs import imagenet_classes, read_validation_images, tiny_imagenet_rows
from tools.photo_clip.space import make_space
from tools.photo_clip.teacher import features, load_teacher


def embedded(name: str, classes: str):
    """Return a registered dataset of the repository: the "base", the "new" or "all" classes."""
    settings = SimpleNamespace(ROOT="", NUM_SHOTS=-1, SUBSAMPLE_CLASSES=classes)
    return DATASET_REGISTRY.get(name)(SimpleNamespace(DATASET=settings, SEED=1))


class ZeroShot:
    """The embedded CLIP and its classifier."""

    def __init__(self, name: str):
        self.model, self.transform = clip.load(name, device="cpu")

    def encode_image(self, batch: Tensor) -> Tensor:
        """(N, 3, S, S), normalised -> (N, E)."""
        return self.model.encode_image(batch)

    @torch.no_grad()
    def accuracy(self, images: Sequence[Image.Image], labels: Tensor, names: Sequence[str]) -> tuple[float, float]:
        """Return the accuracy on images with labels (N,) in %, and its mean over classes."""
        texts = self.model.encode_text(clip.tokenize([f"a photo of a {name}." for name in names]))
        right = torch.zeros(len(images))
        for start in range(0, len(images), 250):
            batch = torch.stack([self.transform(image) for image in images[start : start + 250]])
            found = (self.encode_image(batch) @ F.normalize(texts, dim=-1).T).argmax(1)
            right[start : start + 250] = (found == labels[start : start + 250]).float()
        of_classes = [right[labels == label].mean() for label in labels.unique()]
        return 100 * float(right.mean()), 100 * float(torch.stack(of_classes).mean())

    def of_dataset(self, name: str, classes: str) -> tuple[float, float]:
        """Return the accuracy on a registered dataset's test images, and its mean over classes."""
        dataset = embedded(name, classes)
        labels = torch.tensor([item.label for item in dataset.test])
        names = [classname.replace("_", " ") for classname in dataset.classnames]
        return self.accuracy([read_image(item.impath) for item in dataset.test], labels, names)


class TeacherShot(ZeroShot):
    """The teacher's features and the embedded CLIP's text encoder."""

    def __init__(self, name: str, photos: Path, work: Path):
        super().__init__(name)
        labels = read_validation_images(photos).labels
        self.space = make_space(work / "teacher.npz", labels, tiny_imagenet_rows(photos))
        self.teacher = load_teacher()

    def encode_image(self, batch: Tensor) -> Tensor:
        """(N, 3, S, S), normalised -> (N, E)."""
        mean, std = (torch.tensor(value)[:, None, None] for value in (MEAN, STD))
        pixels = ((batch * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        means, _ = features(self.teacher, pixels, self.space.basis)
        return self.space.place_images(self.space.images(means))


def main() -> None:
    """Read the command line, print a line for each set of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder with the packed photographs")
    parser.add_argument("--backbone", default="photo-ViT-8")
    parser.add_argument("--teacher", type=Path, help="folder with teacher.npz: the teacher sees the images")
    args = parser.parse_args()
    model = TeacherShot(args.backbone, args.photos, args.teacher) if args.teacher else ZeroShot(args.backbone)
    val, rows = read_validation_images(args.photos), tiny_imagenet_rows(args.photos)
    _, classes = imagenet_classes()
    images = [Image.fromarray(pixels.permute(1, 2, 0).numpy()) for pixels in val.pixels]
    tiny = model.accuracy(images, val.labels, [classes[row] for row in rows])
    print("accuracy in %, and its mean over classes")
    print("Tiny-ImageNet validation: {:.1f}, {:.1f}".format(*tiny), flush=True)
    for half in ("base", "new", "all"):
        found = model.of_dataset("Caltech101Small", half)
        print("Caltech101 test, {}: {:.1f}, {:.1f}".format(half, *found), flush=True)
    print("clothing test: {:.1f}, {:.1f}".format(*model.of_dataset("Clothing", "all")))


if __name__ == "__main__":
    main()
