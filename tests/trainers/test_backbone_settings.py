"""The backbone and the settings of the images must fit together."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from clip.architecture import OF_A_FILE, OF_OPENAI, Architecture
from clip.preprocess import MEAN, STD
from trainers.base.build import build_clip, check_normalisation
from trainers.base.precision import Precision
from trainers.base.run_settings import declared

CPU = torch.device("cpu")


def config(workshop, *options):
    builder = declared()
    words = ["MODEL.BACKBONE.NAME", str(Path(workshop.folder) / "ViT-B-16.pt"), *options]
    builder.merge_opts(words, "test")
    return builder.cfg


def test_another_size_needs_to_be_asked_for(workshop):
    with pytest.raises(ValueError, match=r"takes images of 64 x 64.*RESIZE_POSITIONS True.*\(96, 96\)"):
        build_clip(config(workshop, "INPUT.SIZE", "(96,96)"), Precision("fp32", CPU), CPU)
    asked = config(workshop, "INPUT.SIZE", "(96,96)", "MODEL.BACKBONE.RESIZE_POSITIONS", "True")
    frozen = build_clip(asked, Precision("fp32", CPU), CPU)
    assert frozen.image_features(torch.randn(2, 3, 96, 96)).shape == (2, frozen.embed_dim)


def test_images_are_square(workshop):
    asked = config(workshop, "INPUT.SIZE", "(96,64)", "MODEL.BACKBONE.RESIZE_POSITIONS", "True")
    with pytest.raises(ValueError, match=r"\(96, 64\).*square"):
        build_clip(asked, Precision("fp32", CPU), CPU)


def images(mean, std, transforms=("normalize",)) -> SimpleNamespace:
    return SimpleNamespace(
        INPUT=SimpleNamespace(PIXEL_MEAN=list(mean), PIXEL_STD=list(std), TRANSFORMS=transforms),
        MODEL=SimpleNamespace(BACKBONE=SimpleNamespace(NAME="some CLIP")),
    )


def test_normalisation_is_the_backbones():
    half = Architecture(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    check_normalisation(images(MEAN, STD), OF_OPENAI)
    check_normalisation(images(MEAN, STD), OF_A_FILE)
    check_normalisation(images(MEAN, STD, ()), half)
    with pytest.raises(ValueError, match=r"some CLIP was trained with others: set INPUT\.PIXEL_MEAN \[0\.5, 0\.5"):
        check_normalisation(images(MEAN, STD), half)
