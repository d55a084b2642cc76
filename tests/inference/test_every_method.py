"""The demo page, the attention and the features of every method; no list of names here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from inference.demo.trial import Trial
from inference.predictor import FROZEN, Predictor

LAYERS = [1, 2, 3]
"""Layers of the tiny CLIP's image encoder."""


@pytest.fixture
def predictor(method, runs) -> Predictor:
    return Predictor.load(runs(method), device="cpu")


def test_the_page_answers_what_the_predictor_says(predictor, runs):
    trial, image = Trial([predictor]), runs.files()[0]
    assert trial.about()["runs"][0]["title"]
    (answer,), (expected,) = (
        trial.answers(image.read_bytes(), predictor.run.classes, 2),
        predictor.predict([image], topk=2),
    )
    assert [row["class"] for row in answer["top"]] == list(expected.classes)
    assert [row["probability"] for row in answer["top"]] == pytest.approx(list(expected.probabilities), abs=1e-6)
    (others,) = trial.answers(image.read_bytes(), ["teal", "amber", "a long name"], 2)
    assert ("problem" in others) != ("top" in others), "an answer, or why there is none"
    assert "problem" not in others or predictor.method.tied_to_classes(predictor.method.settings)


def test_attention_and_features(predictor, runs):
    """Looking changes nothing; what is drawn is as many layers as there are, and unit features beside frozen CLIP's."""
    image = runs.files()[0]
    layers = Trial([predictor]).attention(image.read_bytes(), 0)["layers"]
    assert [layer["layer"] for layer in layers] == LAYERS
    images = torch.stack([predictor.transform(Image.open(file)) for file in runs.files()[:3]])
    plain = predictor.scores(images)
    found = predictor.feature_sets(images)
    assert FROZEN in found and torch.equal(predictor.scores(images), plain)
    assert all(np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5) for rows in found.values())
