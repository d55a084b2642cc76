"""Cached rows are what the encoder gives, bit for bit; a view is the same wherever it is made."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import train
from clip.model import CLIP
from dassl.data.datasets.base_dataset import Datum
from dassl.data.transforms.transforms import build_transform
from dassl.data.wrapper import DatasetWrapper
from dassl.engine import TRAINER_REGISTRY
from trainers.base.build import build_method
from trainers.base.feature_cache import FeatureCache, loader_of_rows
from trainers.base.frozen_clip import FrozenCLIP
from trainers.base.precision import Precision
from trainers.base.run_settings import settings_of_run
from trainers.coop import CoOpMethod

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
        cfg = settings_of_run(train.parse(words)).cfg
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


def test_a_changed_image_is_seen(images, frozen, tmp_path):
    data, cfg = images(training=False)
    first = cache_of(cfg, frozen).rows(data)
    Image.open(tmp_path / "2.png").transpose(Image.Transpose.ROTATE_180).save(tmp_path / "2.png")
    data, cfg = images(training=False)
    assert [torch.equal(*rows) for rows in zip(cache_of(cfg, frozen).rows(data)[0], first[0], strict=True)] == [
        *(True, True, False, True, True)
    ]


def test_runs_at_the_same_time_have_the_same_rows(images, frozen, tmp_path):
    """Each process fills the same files; whoever comes later reads them."""
    data, cfg = images(training=False)
    expected = cache_of(cfg, frozen).rows(data)
    for pack in (tmp_path / "cache").glob("*.features"):
        pack.unlink()
    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(lambda _: cache_of(cfg, frozen).rows(data), range(8))]
    assert all(torch.equal(rows, expected) for rows in found)
    assert torch.equal(cache_of(cfg, frozen).rows(data), expected)


def test_methods_of_other_test_batches_share_rows(images, frozen, monkeypatch):
    data, cfg = images("DATALOADER.TEST.BATCH_SIZE", 100)
    rows = cache_of(cfg, frozen).rows(data, [0])
    data, cfg = images("DATALOADER.TEST.BATCH_SIZE", 256)
    forbid_encoding(frozen, monkeypatch)
    assert torch.equal(cache_of(cfg, frozen).rows(data, [0]), rows)


def test_a_damaged_row_is_computed_again(images, frozen, tmp_path, capsys):
    data, cfg = images(training=False)
    first = cache_of(cfg, frozen).rows(data)
    assert "damaged" not in capsys.readouterr().out
    (pack,) = (tmp_path / "cache").glob("*.features")
    content = bytearray(pack.read_bytes())
    content[-3:] = b"xyz"
    pack.write_bytes(content)
    assert torch.equal(cache_of(cfg, frozen).rows(data), first)
    assert "1 cached features" in capsys.readouterr().out
    assert torch.equal(cache_of(cfg, frozen).rows(data), first) and "damaged" not in capsys.readouterr().out


@pytest.mark.parametrize("options", [("DATALOADER.TEST.BATCH_SIZE", 2), ()], ids=["batch", "threads"])
def test_what_may_round_otherwise_is_kept_apart(images, frozen, tmp_path, options, monkeypatch):
    data, cfg = images(training=False)
    cache_of(cfg, frozen).rows(data)
    data, cfg = images(*options, training=False)
    if not options:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    cache_of(cfg, frozen).rows(data)
    assert len(list((tmp_path / "cache").glob("*.features"))) == 2


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


ON_FEATURES = [
    name
    for name in TRAINER_REGISTRY.registered_names()
    if getattr(getattr(TRAINER_REGISTRY.get(name), "method_class", None), "on_frozen_features", False)
]


def test_the_methods_on_frozen_features():
    """Those that leave the image encoder as it is, and no other."""
    assert {"CLIPAdapter", "CoCoOp", "CoOp", "DePTCoOp", "KgCoOp", "ProGrad", "TaskRes", "TCP", "ZeroshotCLIP"} <= {
        *ON_FEATURES
    }
    assert not {"CLIPLoRA", "DePTMaPLe", "HiCroPL", "IVLP", "MaPLe", "MMA", "MMRL", "PromptSRC", "TwoStage", "VPT"} & {
        *ON_FEATURES
    }


@pytest.mark.parametrize("number_type", ["fp32", "amp"])
@pytest.mark.parametrize("name", ON_FEATURES)
def test_logits_of_rows_are_those_of_images(name, number_type, frozen):
    trainer, precision = TRAINER_REGISTRY.get(name), Precision(number_type, CPU)
    cfg = settings_of_run(train.parse(["--trainer", name, "INPUT.SIZE", "(32,32)"])).cfg
    method = build_method(cfg, trainer.method_class, trainer.settings_node, frozen, precision, ["cat", "dog", "sun"])
    batch, seen = torch.randn(4, 3, 32, 32), torch.ones((), dtype=torch.bool)
    with torch.no_grad(), precision.context():
        w, rows = method.class_features(), frozen.pool(batch).float()
        assert torch.equal(method.logits(rows, w, seen), method.logits(batch, w, seen))


def test_a_method_of_its_own_features_gets_images():
    class Inherits(CoOpMethod):
        pass

    class Encodes(CoOpMethod):
        def image_output(self, images):
            return self.clip.visual(images)

    class Says(Encodes):
        on_frozen_features = True

        def logits(self, images, class_features, seen):
            return images

    assert (Inherits.on_frozen_features, Encodes.on_frozen_features, Says.on_frozen_features) == (True, False, True)


def test_rows_are_ready_before_the_first_batch(images, frozen, monkeypatch):
    data, cfg = images(training=False)
    loader = loader_of_rows(cache_of(cfg, frozen), torch.utils.data.DataLoader(data, batch_size=2))
    rows = loader.dataset.prepare()
    forbid_encoding(frozen, monkeypatch)
    assert torch.equal(torch.cat([batch["img"] for batch in loader]), rows) and loader.dataset.prepare() is rows


def test_the_speed_of_what_another_run_computed_is_not_measured(images, frozen):
    data, cfg = images(training=False)
    for read in (False, True):
        loader = loader_of_rows(cache_of(cfg, frozen), torch.utils.data.DataLoader(data, batch_size=2))
        assert len(list(loader)) == 3 and loader.dataset.read is read
