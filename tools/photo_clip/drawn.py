"""Draw ten objects and print the names that the embedded CLIP finds nearest: images that nobody trained on.

    python -m tools.photo_clip.drawn [--sheet drawn.png]

The names to choose from are Caltech101's hundred and those of the drawings.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter

import clip
from tools.photo_clip.evaluate import embedded

SIDE = 256
DRAWINGS: dict[str, tuple[str, Callable[[ImageDraw.ImageDraw], None]]] = {}


def drawing(name: str, background: str) -> Callable:
    """Register a function that draws an object on a background."""

    def register(draw: Callable[[ImageDraw.ImageDraw], None]) -> Callable[[ImageDraw.ImageDraw], None]:
        DRAWINGS[name] = (background, draw)
        return draw

    return register


@drawing("orange", "#e8e4da")
def _(d: ImageDraw.ImageDraw) -> None:
    for i in range(40):
        d.ellipse([48 + i, 48 + i, 208 - i / 2, 208 - i / 2], fill=(235, 120 + i, 10 + 2 * i))
    d.ellipse([120, 52, 136, 64], fill="#3c5a1e")


@drawing("banana", "#f4f2ee")
def _(d: ImageDraw.ImageDraw) -> None:
    d.pieslice([10, -90, 246, 210], 20, 160, fill="#f2cf2f")
    d.pieslice([10, -130, 246, 160], 0, 180, fill="#f4f2ee")
    d.ellipse([12, 76, 32, 100], fill="#5a4016")


@drawing("stop sign", "#9fc3e8")
def _(d: ImageDraw.ImageDraw) -> None:
    d.rectangle([122, 180, 134, 256], fill="#808080")
    angles = [math.pi * (k + 0.5) / 4 for k in range(8)]
    points = [(128 + 88 * math.cos(angle), 104 + 88 * math.sin(angle)) for angle in angles]
    d.polygon(points, fill="#c81e1e", outline="white", width=6)
    d.text((66, 72), "STOP", fill="white", font_size=52)


@drawing("soccer ball", "#4e9a3c")
def _(d: ImageDraw.ImageDraw) -> None:
    d.ellipse([48, 48, 208, 208], fill="#fafafa", outline="#202020", width=3)
    for x, y, r in [(128, 128, 28), (128, 62, 18), (190, 112, 18), (166, 186, 18), (90, 186, 18), (66, 112, 18)]:
        d.regular_polygon((x, y, r), 5, fill="#151515")


@drawing("sailboat", "#bfe0f5")
def _(d: ImageDraw.ImageDraw) -> None:
    d.rectangle([0, 186, 256, 256], fill="#27639c")
    d.polygon([(60, 180), (200, 180), (176, 210), (84, 210)], fill="#6b3a1d")
    d.polygon([(132, 30), (132, 170), (200, 170)], fill="#fbfbf5")
    d.polygon([(124, 50), (124, 170), (70, 170)], fill="#efe9da")


@drawing("umbrella", "#dfe6ea")
def _(d: ImageDraw.ImageDraw) -> None:
    d.pieslice([30, 40, 226, 236], 180, 360, fill="#b3202c")
    d.line([128, 138, 128, 216], fill="#3a2a1c", width=6)
    d.arc([100, 200, 130, 232], 0, 180, fill="#3a2a1c", width=6)


@drawing("starfish", "#e6d6a8")
def _(d: ImageDraw.ImageDraw) -> None:
    points = [
        (128 + r * math.sin(math.pi * k / 5), 132 - r * math.cos(math.pi * k / 5))
        for k in range(10)
        for r in [104 if k % 2 == 0 else 44]
    ]
    d.polygon(points, fill="#d9682a")


@drawing("wall clock", "#c9b79c")
def _(d: ImageDraw.ImageDraw) -> None:
    d.ellipse([38, 38, 218, 218], fill="#fdfdf8", outline="#2a2018", width=10)
    for hour in range(12):
        x, y = math.sin(math.pi * hour / 6), -math.cos(math.pi * hour / 6)
        d.line([128 + 68 * x, 128 + 68 * y, 128 + 80 * x, 128 + 80 * y], fill="#101010", width=5)
    d.line([128, 128, 128, 66], fill="#101010", width=5)
    d.line([128, 128, 166, 150], fill="#101010", width=7)


@drawing("mushroom", "#55753f")
def _(d: ImageDraw.ImageDraw) -> None:
    d.rounded_rectangle([104, 120, 152, 224], 18, fill="#efe6d2")
    d.pieslice([40, 44, 216, 220], 180, 360, fill="#c22a1e")
    for x, y, r in [(90, 100, 12), (134, 76, 14), (176, 106, 11)]:
        d.ellipse([x - r, y - r, x + r, y + r], fill="#f7f2ea")


@drawing("sunflower", "#86b7e6")
def _(d: ImageDraw.ImageDraw) -> None:
    d.rectangle([122, 150, 134, 256], fill="#3d7a2b")
    for k in range(18):
        x, y = 128 + 66 * math.cos(math.pi * k / 9), 112 + 66 * math.sin(math.pi * k / 9)
        d.ellipse([x - 20, y - 20, x + 20, y + 20], fill="#f2b90f")
    d.ellipse([82, 66, 174, 158], fill="#4c2f14")


def draw(name: str) -> Image.Image:
    """Return one drawing, slightly blurred as a photograph is."""
    background, paint = DRAWINGS[name]
    image = Image.new("RGB", (SIDE, SIDE), background)
    paint(ImageDraw.Draw(image))
    return image.filter(ImageFilter.GaussianBlur(1.5))


@torch.no_grad()
def main() -> None:
    """Read the command line, print the five nearest names of each drawing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="photo-ViT-8")
    parser.add_argument("--sheet", type=Path, help="write the drawings side by side")
    args = parser.parse_args()
    model, transform = clip.load(args.backbone, device="cpu")
    names = sorted({*(name.replace("_", " ") for name in embedded("Caltech101Small", "all").classnames), *DRAWINGS})
    texts = F.normalize(model.encode_text(clip.tokenize([f"a photo of a {name}." for name in names])), dim=-1)
    images = [draw(name) for name in DRAWINGS]
    features = F.normalize(model.encode_image(torch.stack([transform(image) for image in images])), dim=-1)
    for name, row in zip(DRAWINGS, features @ texts.T, strict=True):
        order = row.argsort(descending=True).tolist()
        nearest = ", ".join(names[i] for i in order[:5])
        print(f"{name:12} rank {order.index(names.index(name)) + 1:3} of {len(names)}: {nearest}")
    if args.sheet:
        sheet = Image.new("RGB", (5 * SIDE, 2 * SIDE))
        for i, image in enumerate(images):
            sheet.paste(image, (i % 5 * SIDE, i // 5 * SIDE))
        sheet.save(args.sheet)


if __name__ == "__main__":
    main()
