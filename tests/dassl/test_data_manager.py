"""Loaders over a tiny dataset on disk."""

import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from dassl.data import DataManager, DatasetWrapper
from dassl.data.data_manager import build_data_loader
from dassl.data.datasets import build_dataset
from dassl.utils import read_image, set_random_seed
from dassl.utils.files import UnreadableImage


class Noise:
    """A transform that draws from all three generators."""

    def __call__(self, image):
        return torch.tensor([random.random(), np.random.rand(), torch.rand(()).item()])


def test_batches_and_sizes(tiny_cfg, capsys):
    manager = DataManager(tiny_cfg)
    batch = next(iter(manager.train_loader_x))
    assert set(batch) == {"img", "label", "domain", "impath", "index"}
    assert batch["img"].shape == (5, 3, 16, 16) and batch["label"].dtype == torch.int64
    for path, index in zip(batch["impath"], batch["index"], strict=True):
        assert manager.dataset.train_x[index].impath == path
    assert (manager.num_classes, manager.num_source_domains, manager.lab2cname[2]) == (4, 0, "cyan")
    assert len(manager.train_loader_x) == 24 // 5 and manager.train_loader_u is None
    assert [len(b["label"]) for b in manager.val_loader] == [12]
    assert sum(len(b["label"]) for b in manager.test_loader) == 16
    labels = torch.cat([b["label"] for b in manager.test_loader]).tolist()
    assert labels == [item.label for item in manager.dataset.test]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Loading dataset: Colours"
    table = lines[lines.index("Dataset    Colours") :]
    assert table[:5] == [
        "Dataset    Colours",
        "# classes  4",
        "# train_x  24",
        "# val      12",
        "# test     16",
    ]


def test_last_batch_is_kept_when_there_is_no_full_one(tiny_cfg):
    tiny_cfg.DATALOADER.TRAIN_X.BATCH_SIZE = 50
    assert [len(batch["label"]) for batch in DataManager(tiny_cfg).train_loader_x] == [24]


def test_seed_decides_the_order(tiny_cfg):
    orders = []
    for seed in (1, 1, 2):
        set_random_seed(seed)
        loader = DataManager(tiny_cfg).train_loader_x
        orders.append([batch["index"].tolist() for _ in range(2) for batch in loader])
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][:4] != orders[0][4:]  # another order in each epoch


def test_workers_get_fresh_seeds_that_the_global_seed_decides(tiny_cfg):
    tiny_cfg.DATALOADER.NUM_WORKERS = 2
    source = build_dataset(tiny_cfg).train_x[:4]

    def draw():
        set_random_seed(7)
        loader = build_data_loader(tiny_cfg, data_source=source, batch_size=1, tfm=Noise(), is_train=False)
        return torch.cat([batch["img"] for _ in range(2) for batch in loader])  # (8, 3)

    first = draw()
    assert torch.equal(first, draw())
    assert all(len(set(column.tolist())) == 8 for column in first.t())  # no two draws alike


def test_several_views_and_the_plain_image(tiny_cfg):
    tiny_cfg.DATALOADER.K_TRANSFORMS = 3
    tiny_cfg.DATALOADER.RETURN_IMG0 = True
    tiny_cfg.INPUT.TRANSFORMS = ("random_resized_crop", "normalize")
    manager = DataManager(tiny_cfg)
    batch = next(iter(manager.train_loader_x))
    assert len(batch["img"]) == 3 and batch["img"][0].shape == batch["img0"].shape == (5, 3, 16, 16)
    assert not torch.equal(batch["img"][0], batch["img"][1])
    assert batch["img0"].min() < 0  # normalised
    assert next(iter(manager.test_loader))["img"].shape == (16, 3, 16, 16)


def test_custom_transforms_and_wrapper(tiny_cfg):
    class Wrapper(DatasetWrapper):
        def __getitem__(self, idx):
            return {**super().__getitem__(idx), "extra": idx}

    manager = DataManager(
        tiny_cfg,
        custom_tfm_train=[lambda image: torch.zeros(1), lambda image: torch.ones(1)],
        custom_tfm_test=lambda image: torch.full((1,), 2.0),
        dataset_wrapper=Wrapper,
    )
    batch = next(iter(manager.train_loader_x))
    assert batch["img"].sum() == 0 and batch["img2"].sum() == 5 and torch.equal(batch["extra"], batch["index"])
    assert next(iter(manager.val_loader))["img"].unique().tolist() == [2.0]


def test_no_transform(tiny_cfg):
    source = build_dataset(tiny_cfg).train_x
    assert DatasetWrapper(tiny_cfg, source)[0]["img"].size == (26, 20)  # PIL: width, height
    tiny_cfg.DATALOADER.K_TRANSFORMS = 2
    with pytest.raises(ValueError, match="K_TRANSFORMS"):
        DatasetWrapper(tiny_cfg, source, is_train=True)


def test_an_unreadable_image_is_named(tiny_cfg, tmp_path):
    bad = tmp_path / "broken.png"
    source = build_dataset(tiny_cfg).train_x[:1]
    bad.write_bytes(Path(source[0].impath).read_bytes()[:100])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        read_image(tmp_path / "nowhere.png")
    source[0]._impath = str(bad)
    loader = build_data_loader(tiny_cfg, data_source=source, batch_size=1, is_train=False)
    with pytest.raises(OSError, match=r"broken\.png") as error:
        next(iter(loader))
    assert type(error.value) is UnreadableImage  # made of one text, which is how it comes over from a worker


def test_a_sampler_without_any_batch_is_an_error(tiny_cfg):
    source = build_dataset(tiny_cfg).train_x[:3]
    with pytest.raises(ValueError, match="no batch of 8"):
        build_data_loader(tiny_cfg, "SeqDomainSampler", data_source=source, batch_size=8)


class Signalled:
    """A transform in whose process Ctrl-C and SIGTERM arrive."""

    def __call__(self, image):
        for signum in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), signum)
        return torch.zeros(3)


def test_signals_do_not_end_the_workers(tiny_cfg):
    tiny_cfg.DATALOADER.NUM_WORKERS = 1
    data = build_dataset(tiny_cfg).train_x
    batches = list(build_data_loader(tiny_cfg, data_source=data, batch_size=8, tfm=Signalled()))
    assert [len(batch["img"]) for batch in batches] == [8, 8, 8]
