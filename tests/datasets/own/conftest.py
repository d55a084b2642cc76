"""Folders of small images, as people have them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


def image(path, number: int = 0) -> None:
    """Write a small image that no other number gives, in the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([number, *path.parent.name.encode()]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(np.kron(pixels, np.ones((4, 4, 1), np.uint8))).save(path)


def fill(folder, ending: str = ".png", start: int = 0, **counts: int) -> None:
    """Write folders of so many images."""
    for name, count in counts.items():
        for number in range(start, start + count):
            image(folder / name / f"{number}{ending}", number)


@pytest.fixture
def write(tmp_path):
    """Write a text file below the folder of the test."""

    def write(name: str, text: str, encoding: str = "utf-8"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding)
        return path

    return write
