"""The smallest thing that trains: images of four colours, and a random CLIP of three narrow layers."""

from __future__ import annotations

from pathlib import Path

SIDE, DEPTH = 16, 3  # pixels, layers
CLASSES = ("red square", "green_field", "amber", "teal")  # the first two in alphabetical order are the base classes


def write_images(folder: Path, number: int = 6) -> None:
    """Write this number of images of each class, in class folders."""
    import numpy as np  # here, as torch below: the command that uses this explains itself without them
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        colour = rng.integers(0, 256, 3)
        for i in range(number):
            pixels = np.clip(colour + rng.normal(0, 60, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def write_clip(file: Path) -> None:
    """Write the weights of a CLIP ViT, the same at each call."""
    import torch

    from clip.model import CLIP

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(32, SIDE, DEPTH, 64, 8, 77, 49408, 64, 1, DEPTH)
    torch.save(model.state_dict(), file)
