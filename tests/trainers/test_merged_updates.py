"""Merged low-rank updates against a CLIP whose weights were changed by hand, in float64."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

NAMES = ["cat", "ox cart", "big dog"]
LIMIT = 1e-5
"""On unit features and their cosines."""
CASES = {
    "published": {},
    "rank 5, output too": {"R": 5, "ALPHA": 3.0, "PARAMS": ("q", "k", "v", "o")},
    "values, upper blocks": {"PARAMS": ("v",), "POSITION": "bottom"},
    "keys and outputs of the texts": {"PARAMS": ("k", "o"), "ENCODER": "text", "POSITION": "mid"},
    "images alone": {"R": 1, "ENCODER": "vision", "POSITION": "half-bottom"},
}


def by_hand(method, scale: float):
    """A copy of the frozen CLIP, float64, with scale * B A added to the named rows of its weights."""
    model = deepcopy(method.clip.model).double()
    learned = {method.published_name(name): value.detach().double() for name, value in method.named_parameters()}
    with torch.no_grad():
        for name in {name.rpartition("_")[0] for name in learned}:
            place, _, projection = name.removesuffix(".w_lora").rpartition(".")
            attention, delta = model.get_submodule(place), scale * learned[f"{name}_B"] @ learned[f"{name}_A"]
            if projection == "proj":
                attention.out_proj.weight += delta
            else:
                attention.in_proj_weight.chunk(3)["qkv".index(projection[0])].add_(delta)
    return model


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_clip_lora(settings, workshop):
    trainer = workshop.build("CLIPLoRA", "ViT-B-16", NAMES, **settings)
    method, images = trainer.method, workshop.batch("ViT-B-16", 4, 3)["img"]
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.normal_(std=0.2)
    model = by_hand(method, method.settings.ALPHA / method.settings.R**0.5)
    with torch.no_grad():
        f, w = model.encode_image(images.double()), model.encode_text(method.prompts.ids)
        plain = torch.nn.functional.normalize(method.clip.model.double().encode_image(images.double()), dim=-1)
        method.clip.model.float()
    f, w = (torch.nn.functional.normalize(one, dim=-1) for one in (f, w))
    moved = (f - plain).abs().max()
    assert moved > 100 * LIMIT or settings.get("ENCODER") == "text"
    with trainer.fixed_classes():
        found = trainer.model_inference(images).double()
        assert (trainer.class_features.double() - w).abs().max() < LIMIT
        assert (method.image_features(images).double() - f).abs().max() < LIMIT
    assert (found / 100 - f @ w.t()).abs().max() < LIMIT
    trainer.set_model_mode("train")
    method.low_rank.dropout = 0.0  # as a step computes, with gradients and nothing merged
    assert (method.image_features(images).double() - f).abs().max() < LIMIT and not method.low_rank.merged


@pytest.mark.parametrize(("settings", "words"), [({"PARAMS": ()}, "PARAMS is empty"), ({"POSITION": "up"}, "no block")])
def test_updates_of_nothing_are_refused(workshop, settings, words):
    with pytest.raises(ValueError, match=words):
        workshop.build("CLIPLoRA", "ViT-B-32", ["cat", "dog"], **settings)
