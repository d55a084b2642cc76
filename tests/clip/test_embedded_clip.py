"""The CLIPs inside the repository load like any other, are small, and know the embedded images by name."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import clip
import datasets  # noqa: F401  (registers the builders)
from clip.pretrained import embedded
from clip.tokenizer import SIZE
from dassl.data.datasets import DATASET_REGISTRY
from safeio.images import read_image

ROOT = Path(__file__).parent.parent.parent
IMAGES = ROOT / "datasets" / "embedded"
KNOWS = {"photo-ViT-8": "Caltech101Small"}
MEGABYTE = 2**20


@pytest.fixture(scope="module", params=sorted(embedded()))
def model_and_transform(request):
    return request.param, *clip.load(request.param)


def test_there_is_one():
    assert embedded()


@pytest.mark.parametrize("name", sorted(embedded()))
def test_a_model_is_small(name):
    assert embedded()[name].stat().st_size < 20 * MEGABYTE


@pytest.mark.parametrize("folder", sorted(path.name for path in IMAGES.iterdir() if path.is_dir()))
def test_a_dataset_is_small(folder):
    assert sum(path.stat().st_size for path in (IMAGES / folder).rglob("*") if path.is_file()) < 20 * MEGABYTE


def test_shape_is_openais(model_and_transform):
    _, model, _ = model_and_transform
    assert (model.context_length, model.vocab_size) == (77, SIZE)
    assert model.visual.transformer.layers == model.transformer.layers
    assert model.visual.proj.shape[1] == model.text_projection.shape[1]
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_zero_shot_is_far_above_chance(model_and_transform):
    name, model, transform = model_and_transform
    settings = SimpleNamespace(ROOT="", NUM_SHOTS=-1, SUBSAMPLE_CLASSES="all")
    dataset = DATASET_REGISTRY.get(KNOWS[name])(SimpleNamespace(DATASET=settings, SEED=1))
    chosen = random.Random(1).sample(dataset.test, 200)
    names = [classname.replace("_", " ") for classname in dataset.classnames]
    with torch.inference_mode():
        images = model.encode_image(torch.stack([transform(read_image(item.impath)) for item in chosen]))
        texts = model.encode_text(clip.tokenize([f"a photo of a {name}." for name in names]))
    found = (images @ torch.nn.functional.normalize(texts, dim=-1).t()).argmax(1)
    accuracy = (found == torch.tensor([item.label for item in chosen])).float().mean().item()
    assert accuracy >= 3 / len(names)
