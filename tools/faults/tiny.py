"""The smallest thing that trains: images of four colours, and a random CLIP of three narrow layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from clip.model import CLIP

SIDE, DEPTH = 16, 3  # pixels, layers
CLASSES = ("red square", "green_field", "amber", "teal")  # the first two in alphabetical order are the base classes


def write_images(folder: Path) -> None:
    """Write six images of each class, in class folders."""
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        colour = rng.integers(0, 256, 3)
        for i in range(6):
            pixels = np.clip(colour + rng.normal(0, 60, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def write_clip(file: Path) -> None:
    """Write the weights of a CLIP ViT, the same at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(32, SIDE, DEPTH, 64, 8, 77, 49408, 64, 1, DEPTH)
    torch.save(model.state_dict(), file)
