"""The frozen CLIP's word on class names that it does not know."""

from __future__ import annotations

import pytest
import torch

from clip.model import CLIP
from clip.tokenizer import tokenize
from trainers.base.frozen_clip import FrozenCLIP, unknown_note

UNKNOWN = ["airplanes", "Leopards"]


@pytest.fixture
def frozen() -> FrozenCLIP:
    """A CLIP that has no embedding of the words of UNKNOWN."""
    torch.manual_seed(0)
    frozen = FrozenCLIP(CLIP(32, 16, 1, 64, 8, 77, 49408, 64, 1, 1), torch.device("cpu"))
    frozen.model.token_embedding.weight.data[tokenize(UNKNOWN)[:, 1]] = 0
    return frozen


def test_names_without_an_embedding_are_found(frozen):
    """A name is known by any of its words; those that are not are all the same to it."""
    known = ["airplane", "grand_piano", "black airplanes"]
    assert frozen.unknown_names([*known, *UNKNOWN]) == UNKNOWN
    features = frozen.prompt_features([*known, *UNKNOWN], "a photo of a {}.")
    assert torch.equal(features[3], features[4]) and not torch.equal(features[0], features[1])
    note = unknown_note("photo-ViT-8", UNKNOWN, 5)
    assert "2 of the 5" in note and "airplanes, Leopards" in note and "--backbone" in note


def test_a_whole_clip_knows_every_name(frozen):
    frozen.model.token_embedding.weight.data[tokenize(UNKNOWN)[:, 1]] = 1
    assert frozen.unknown_names(UNKNOWN) == []
