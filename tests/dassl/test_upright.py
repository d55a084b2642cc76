"""EXIF orientation: ignored as in published code, unless INPUT.UPRIGHT asks for it; prediction turns images upright."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dassl.config import get_cfg_default
from dassl.data.datasets import Datum
from dassl.data.wrapper import DatasetWrapper
from inference.images import read_upright
from safeio.images import read_image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_training_and_prediction_see_the_same_image(orientation, tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10, :15, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    cfg = get_cfg_default()
    for upright, expected in ((False, read_image(tmp_path / "a.png")), (True, read_upright(tmp_path / "a.png"))):
        cfg.INPUT.UPRIGHT = upright
        seen = DatasetWrapper(cfg, [Datum(tmp_path / "a.png")], None)[0]["img"]
        assert np.array_equal(np.asarray(seen), np.asarray(expected))
    assert read_image(tmp_path / "a.png").size == (30, 20)
    assert read_upright(tmp_path / "a.png").size == ((20, 30) if orientation > 4 else (30, 20))
