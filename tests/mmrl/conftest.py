"""Small images of two colours, and a model trained on them with the smallest CLIP there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmrl
from clip.pretrained import embedded

BACKBONE = next(iter(embedded()))
COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30)}


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """(24, 40, 40, 3), uint8: twelve red ones, twelve green ones."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 20, (2, 12, 40, 40, 3))
    return (
        np.clip(np.array(list(COLOURS.values()))[:, None, None, None] + noise, 0, 255)
        .astype(np.uint8)
        .reshape(-1, 40, 40, 3)
    )


@pytest.fixture(scope="session")
def labels() -> list[str]:
    return [name for name in COLOURS for _ in range(12)]


@pytest.fixture(scope="session")
def folder(images, labels, tmp_path_factory) -> Path:
    """The images as files in class folders."""
    place = tmp_path_factory.mktemp("images")
    for index, (image, name) in enumerate(zip(images, labels, strict=True)):
        (place / name).mkdir(exist_ok=True)
        Image.fromarray(image).save(place / name / f"{index}.png")
    return place


@pytest.fixture(scope="session")
def model(images, labels, tmp_path_factory):
    """CoOp, thirty epochs at a high rate: red and green differ little to this CLIP."""
    output = tmp_path_factory.mktemp("fit")
    return mmrl.fit(
        images,
        labels,
        method="coop",
        backbone=BACKBONE,
        epochs=30,
        shots=8,
        output=output,
        device="cpu",
        settings={"OPTIM.LR": 0.1},
    )
