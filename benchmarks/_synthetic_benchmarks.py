"""The eleven benchmarks as folders of generated JPEGs: their classes, counts and sizes of images, not their content."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

import datasets  # noqa: F401  (registers them)
from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.imagenet_family import read_classnames
from runs.protocol import CONFIGS

DATASETS = CONFIGS.parent / "datasets"
NAMES = Path(__file__).with_name("class_names.json")
SIZES = {
    "caltech101": (300, 200),
    "dtd": (600, 450),
    "eurosat": (64, 64),
    "fgvc_aircraft": (1024, 700),
    "food101": (512, 512),
    "oxford_flowers": (667, 500),
    "stanford_cars": (700, 483),
    "sun397": (700, 520),
    "ucf101": (320, 240),
}
"""Width and height in pixels, as they typically are; the others' images are 500 x 375."""
DISTINCT = 16
"""Different images of a benchmark; its files are links to them, which decode at the same cost as others."""
FEWEST_CLASSES = 4
LINKS = 20_000
"""Files that share one content, fewer than file systems allow."""


@dataclass(frozen=True)
class Benchmark:
    """Size of a benchmark: classes, and images of all its classes."""

    name: str
    registered: str
    classes: int
    train: int
    val: int
    test: int

    def scaled(self, fraction: float, shots: int) -> Benchmark:
        """Return the benchmark with this fraction of classes and images, with enough images for the few-shot sets."""
        classes = max(FEWEST_CLASSES, round(self.classes * fraction))
        counts = (max(classes * least, round(n * fraction)) for n, least in ((self.train, shots), (self.val, 4)))
        train, val = counts if fraction < 1 else (self.train, self.val)
        return replace(self, classes=classes, train=train, val=val, test=max(2 * classes, round(self.test * fraction)))


def benchmark(name: str) -> Benchmark:
    """Return a benchmark by the name of its file in configs/datasets."""
    with open(DATASETS / "facts.csv", encoding="utf-8", newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["config"] == name)
    return Benchmark(name, row["registry_name"], *(int(row[key]) for key in ("classes", "train", "val", "test")))


def class_names(name: str, count: int) -> list[str]:
    """Return a benchmark's first class names, or ImageNet's if we do not have its own."""
    names = json.loads(NAMES.read_text(encoding="utf-8")).get(name)
    if name == "caltech101":
        split = json.loads((DATASETS / "embedded/caltech101_64/split_zhou_Caltech101.json").read_text(encoding="utf-8"))
        names = list(dict.fromkeys(name for _, _, name in sorted(split["train"], key=lambda row: row[1])))
    return (names or list(read_classnames(DATASETS / "imagenet_classnames.txt").values()))[:count]


def make(root: Path, wanted: Benchmark) -> None:
    """Write a benchmark's folder in the layout of its archive, with its split file if it has one."""
    kind = DATASET_REGISTRY.get(wanted.registered)
    folder, names = root / kind.dataset_dir, class_names(wanted.name, wanted.classes)
    contents = generated(SIZES.get(wanted.name, (500, 375)), folder / ".contents")
    if wanted.name == "imagenet":
        wnids = list(read_classnames(DATASETS / "imagenet_classnames.txt"))[: wanted.classes]
        for part, count in (("train", wanted.train), ("val", wanted.test)):
            for label, number in labels(count, wanted.classes):
                link(contents, folder / "images" / part / wnids[label] / f"{wnids[label]}_{number}.JPEG", number)
        (folder / "classnames.txt").write_bytes((DATASETS / "imagenet_classnames.txt").read_bytes())
        return
    images = folder / getattr(kind, "image_dir", "")
    split: dict[str, list[tuple[str, int, str]]] = {"train": [], "val": [], "test": []}
    for part, rows in split.items():
        for label, number in labels(getattr(wanted, part), wanted.classes):
            path = f"class_{label:04d}/{part}_{number:05d}.jpg"
            link(contents, images / path, number)
            rows.append((path, label, names[label]))
    if kind.split_file:
        (folder / kind.split_file).write_text(json.dumps(split), encoding="utf-8")
        return
    (folder / "variants.txt").write_text("\n".join(names) + "\n", encoding="utf-8")  # FGVCAircraft has lists
    for part, rows in split.items():
        lines = "".join(f"{path.removesuffix('.jpg')} {name}\n" for path, _, name in rows)
        (folder / f"images_variant_{part}.txt").write_text(lines, encoding="utf-8")


def labels(images: int, classes: int) -> Iterator[tuple[int, int]]:
    """Yield (class, number of the image), with the images spread evenly over the classes."""
    number = 0
    for label in range(classes):
        for _ in range(images // classes + (label < images % classes)):
            yield label, number
            number += 1


def generated(size: tuple[int, int], folder: Path) -> list[Path]:
    """Write JPEGs with the detail of photographs: coarse shapes under a little noise."""
    rng, files = np.random.default_rng(0), []
    folder.mkdir(parents=True)
    for number in range(DISTINCT):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
        pixels = np.asarray(coarse, np.int16) + rng.integers(-12, 13, (size[1], size[0], 3), np.int16)
        held = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(held, "jpeg", quality=90)
        files.append(folder / f"{number}.jpg")
        files[-1].write_bytes(held.getvalue())
    return files


def link(contents: list[Path], file: Path, number: int) -> None:
    """Make an image file as a hard link, or as a new copy if the content has too many links already."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = contents[number % len(contents)]
    if content.stat().st_nlink < LINKS:
        os.link(content, file)
        return
    file.write_bytes(content.read_bytes())
    contents[number % len(contents)] = file
