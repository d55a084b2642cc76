"""Cached rows are what the encoder gives, bit for bit; a view is the same wherever it is made."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image

import train
from clip.model import CLIP
from dassl.data.datasets.base_dataset import Datum
from dassl.data.transforms.transforms import build_transform
from dassl.data.wrapper import DatasetWrapper
from trainers.base.feature_cache import FeatureCache, loader_of_rows
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.precision import Precision
from trainers.base.settings import resolve

CPU = torch.device("cpu")


@pytest.fixture(params=["ViT", "RN"], scope="module")
def frozen(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers, width, patch = ((1, 1, 1, 1), 8, None) if request.param == "RN" else (2, 64, 8)
        return FrozenCLIP(CLIP(32, 32, layers, width, patch, 77, 49408, 64, 1, 2), CPU)


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Makes the wrapper of five images, and its configuration."""
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "cache"))
    rng, source = np.random.default_rng(0), []
    for i in range(5):
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
        source.append(Datum(str(path), i % 2, 0, "name"))

    def make(*options, training=True):
        words = ["--trainer", "ZSLP", "--seed", "1", "INPUT.SIZE", "(32,32)", "DATALOADER.NUM_WORKERS", "0"]
        words += ["INPUT.TRANSFORMS", "('random_resized_crop','random_flip','normalize')", *map(str, options)]
        cfg = resolve(train.parse(words)).cfg
        return DatasetWrapper(cfg, source, build_transform(cfg, is_train=training), is_train=training), cfg

    return make


def cache_of(cfg, frozen) -> FeatureCache:
    return FeatureCache(cfg, frozen, Precision("fp32", CPU))


def forbid_encoding(frozen, monkeypatch):
    monkeypatch.setattr(frozen, "pool", lambda batch: pytest.fail("an image was encoded again"))


def test_rows_are_what_the_projection_reads(images, frozen):
    data, cfg = images(training=False)
    batch = torch.stack([data[i]["img"] for i in range(len(data))])
    rows = cache_of(cfg, frozen).rows(data)
    assert torch.equal(rows[0], frozen.pool(batch).float())
    assert torch.allclose(frozen.project(rows[0]), frozen.visual(batch), atol=1e-6)


def test_a_second_run_reads_the_same_bits_and_encodes_nothing(images, frozen, monkeypatch):
    data, cfg = images()
    first = cache_of(cfg, frozen).rows(data, [0, 1, 2])
    assert not torch.equal(first[0], first[1])
    forbid_encoding(frozen, monkeypatch)
    assert torch.equal(cache_of(cfg, frozen).rows(data, [2, 0, 1]), first[[2, 0, 1]])


def test_without_the_cache_the_views_are_the_same(images, frozen):
    data, cfg = images()
    kept = cache_of(cfg, frozen).rows(data, [3, 4])
    data, cfg = images("DATALOADER.CACHE", False)
    assert torch.equal(cache_of(cfg, frozen).rows(data, [3, 4]), kept)


def test_nothing_is_drawn_from_the_runs_generators(images, frozen):
    data, cfg = images("DATALOADER.CACHE", False)
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    expected = torch.rand(3), random.random(), np.random.rand()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    cache_of(cfg, frozen).rows(data, [0, 1])
    found = torch.rand(3), random.random(), np.random.rand()
    assert torch.equal(found[0], expected[0]) and found[1:] == expected[1:]


@pytest.mark.parametrize("options", [("SEED", 2), ("INPUT.RRCROP_SCALE", "(0.5,1)")], ids=["seed", "transform"])
def test_other_augmentations_are_other_rows(images, frozen, options):
    data, cfg = images()
    first = cache_of(cfg, frozen).rows(data, [0])
    data, cfg = images(*options)
    assert not torch.equal(cache_of(cfg, frozen).rows(data, [0]), first)


def test_other_weights_are_other_rows(images, frozen):
    data, cfg = images(training=False)
    first, own = cache_of(cfg, frozen).rows(data), frozen.visual.conv1.weight.data.clone()
    try:
        frozen.visual.conv1.weight.data *= 2
        frozen.__dict__.pop("fingerprint", None)
        assert not torch.equal(cache_of(cfg, frozen).rows(data), first)
    finally:
        frozen.visual.conv1.weight.data = own
        frozen.__dict__.pop("fingerprint", None)


def test_a_damaged_row_is_computed_again(images, frozen, tmp_path):
    data, cfg = images(training=False)
    first = cache_of(cfg, frozen).rows(data)
    (pack,) = (tmp_path / "cache").glob("*.features")
    content = bytearray(pack.read_bytes())
    content[-3:] = b"xyz"
    pack.write_bytes(content)
    assert torch.allclose(cache_of(cfg, frozen).rows(data), first, atol=1e-5)


def test_packs_stay_within_the_limit(images, frozen, tmp_path, capsys):
    data, cfg = images("DATALOADER.CACHE_DISK_GIB", 1e-9)
    rows = cache_of(cfg, frozen).rows(data, [0])
    assert rows.isfinite().all() and not list((tmp_path / "cache").glob("*.features"))
    assert "CACHE_DISK_GIB" in capsys.readouterr().out


def test_a_loader_of_rows_has_the_same_batches(images, frozen):
    data, cfg = images(training=False)
    loader = torch.utils.data.DataLoader(data, batch_size=2)
    found = list(loader_of_rows(cache_of(cfg, frozen), loader))
    assert [batch["label"].tolist() for batch in found] == [batch["label"].tolist() for batch in loader]
    assert [batch["impath"] for batch in found] == [batch["impath"] for batch in loader]
    assert found[0]["img"].shape == (2, frozen.visual.pooled_width)
    assert loader_of_rows(cache_of(cfg, frozen), None) is None
