"""The evaluation transform gives the numbers of OpenAI's (stored) and open_clip's (run beside ours)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image

from clip.preprocess import MEAN, STD, evaluation_transform

GOLDEN = Path(os.environ.get("GOLDEN_DIR") or Path(__file__).parents[1] / "golden")
IMAGES = np.load(GOLDEN / "preprocess.npz")
NAMES = sorted({name.split("/")[0] for name in IMAGES.files})


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
    ours = evaluation_transform(32)(Image.fromarray(IMAGES[f"{name}/uint8"])).numpy()
    off = np.abs(ours - IMAGES[f"{name}/clip"])
    older = int(PIL.__version__.split(".")[0]) < 13  # which scales tall images in another order
    assert off.max() < (0.11 if older else 1e-6) and off.mean() < 5e-3


@pytest.mark.parametrize("extent", [(224, 224), (300, 200), (80, 400), (17, 9)])
def test_as_open_clip(extent):
    pixels = np.random.default_rng(0).integers(0, 256, (*extent, 3), dtype=np.uint8)
    reference = image_transform(224, is_train=False, mean=MEAN, std=STD)
    image = Image.fromarray(pixels)
    torch.testing.assert_close(evaluation_transform(224)(image), reference(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_mode_becomes_three_channels(mode):
    image = Image.fromarray(IMAGES[f"{NAMES[0]}/uint8"]).convert(mode)
    out = evaluation_transform(24)(image)
    assert out.shape == (3, 24, 24)
    torch.testing.assert_close(out, evaluation_transform(24)(image.convert("RGB")))
