"""The frozen CLIP's word on class names that it does not know."""

from __future__ import annotations

import clip
from trainers.base.frozen_clip import FrozenCLIP, unknown_note


def test_names_without_an_embedding_are_found():
    """A name is known by any of its words; what is not a word at all is not known."""
    model, _ = clip.load("photo-ViT-8")
    frozen = FrozenCLIP(model, model.token_embedding.weight.device)
    known, unknown = ["airplane", "grand_piano", "black cat"], ["airplanes", "Leopards"]
    assert frozen.unknown_names([*known, *unknown]) == unknown
    features = frozen.prompt_features([*known, *unknown], "a photo of a {}.")
    assert (features[3] == features[4]).all() and (features[0] != features[1]).any()
    note = unknown_note("photo-ViT-8", unknown, 5)
    assert "2 of the 5" in note and "airplanes, Leopards" in note and "--backbone" in note


def test_a_whole_clip_knows_every_name():
    model, _ = clip.load("photo-ViT-8")
    frozen = FrozenCLIP(model, model.token_embedding.weight.device)
    model.token_embedding.weight.data.add_(1e-3)
    assert frozen.unknown_names(["airplanes"]) == []
