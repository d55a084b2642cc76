"""The CLIPs inside the repository load like any other, are small, and know the embedded images by name."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from PIL import Image

import clip
from clip.pretrained import embedded
from clip.tokenizer import SIZE

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "datasets" / "embedded" / "openmoji"
MEGABYTE = 2**20


@pytest.fixture(scope="module", params=sorted(embedded()))
def model_and_transform(request):
    return clip.load(request.param)


def test_there_is_one():
    assert embedded()


def test_data_and_model_are_small():
    files = [*embedded().values(), *(path for path in IMAGES.rglob("*") if path.is_file())]
    assert sum(path.stat().st_size for path in files) < 20 * MEGABYTE


def test_shape_is_openais(model_and_transform):
    model, _ = model_and_transform
    assert (model.context_length, model.vocab_size) == (77, SIZE)
    assert model.visual.transformer.layers == model.transformer.layers
    assert model.visual.proj.shape[1] == model.text_projection.shape[1]
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_zero_shot_is_far_above_chance(model_and_transform):
    model, transform = model_and_transform
    rows = json.loads((IMAGES / "split_zhou_OpenMoji.json").read_text(encoding="utf-8"))["test"]
    names = dict(sorted((label, name) for _, label, name in rows))
    rows = random.Random(1).sample(rows, 200)
    with torch.inference_mode():
        images = model.encode_image(torch.stack([transform(Image.open(IMAGES / "images" / p)) for p, _, _ in rows]))
        texts = model.encode_text(clip.tokenize([f"a photo of a {name}." for name in names.values()]))
    found = (images @ torch.nn.functional.normalize(texts, dim=-1).t()).argmax(1)
    accuracy = (found == torch.tensor([label for _, label, _ in rows])).float().mean().item()
    assert accuracy >= 3 / len(names)
