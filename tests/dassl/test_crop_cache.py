"""The crop cache gives what the transform gives, whatever happens to its files."""

import errno
import multiprocessing
import os
import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image

from dassl.data import DataManager, crop_cache, row_pack
from dassl.data.crop_cache import CachedCrops, CropPack
from dassl.data.wrapper import DatasetWrapper


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    return tmp_path / "crops"


def images(cfg) -> torch.Tensor:
    return torch.cat([batch["img"] for batch in DataManager(cfg).test_loader])


def without_cache(cfg) -> torch.Tensor:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATALOADER.CACHE = False
    assert type(DataManager(cfg).test_loader.dataset) is DatasetWrapper
    return images(cfg)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_numbers(tiny_cfg, folder, workers, monkeypatch):
    tiny_cfg.defrost()
    tiny_cfg.DATALOADER.NUM_WORKERS = workers
    expected = without_cache(tiny_cfg)
    assert torch.equal(images(tiny_cfg), expected)  # made
    if not workers:
        monkeypatch.setattr(crop_cache, "read_image", lambda path: pytest.fail(f"{path} was read again"))
    assert torch.equal(images(tiny_cfg), expected)  # read


def test_a_changed_image_is_seen(tiny_cfg, folder):
    images(tiny_cfg)
    path = Path(DataManager(tiny_cfg).dataset.test[0].impath)
    before = path.read_bytes()
    try:
        Image.new("RGB", (40, 50), (1, 2, 3)).save(path)
        assert torch.equal(images(tiny_cfg), without_cache(tiny_cfg))
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("damage", ["cut", "overwritten", "removed"])
def test_damaged_files_cost_time_only(tiny_cfg, folder, damage):
    expected = images(tiny_cfg)
    for pack in folder.glob("*.crops"):
        content = pack.read_bytes()
        half = len(content) // 2
        if damage == "removed":
            pack.unlink()
        else:
            pack.write_bytes(content[:half] + (bytes(len(content) - half) if damage == "overwritten" else b""))
    assert torch.equal(images(tiny_cfg), expected)


@pytest.mark.parametrize("damage", ["cut", "removed"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_another_run_removes_before_it_is_read(tiny_cfg, folder, damage, workers):
    """Between building the loaders and the test lies the whole training: time for another run to need the room."""
    tiny_cfg.defrost()
    tiny_cfg.DATALOADER.NUM_WORKERS = workers
    expected, loader = without_cache(tiny_cfg), DataManager(tiny_cfg).test_loader
    assert type(loader.dataset) is CachedCrops
    for pack in folder.glob("*.crops"):
        pack.unlink() if damage == "removed" else os.truncate(pack, 10)
    assert torch.equal(torch.cat([batch["img"] for batch in loader]), expected)


def test_processes_that_fill_and_remove_at_the_same_time(tiny_cfg, folder):
    """Each has room for its own crops only, so that each removes what another one is about to use."""
    tiny_cfg.defrost()
    expected = without_cache(tiny_cfg)
    packs = DataManager(tiny_cfg) and list(folder.glob("*.crops"))
    tiny_cfg.DATALOADER.CACHE_DISK_GIB = sum(pack.stat().st_size for pack in packs) / 2**30
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def evaluate(shrink: int) -> None:
        cfg = tiny_cfg.clone()
        for turn in range(6):
            cfg.INPUT.SIZE = (tiny_cfg.INPUT.SIZE[0] - shrink * (turn % 2),) * 2
            found = images(cfg)
        cfg.INPUT.SIZE = tiny_cfg.INPUT.SIZE
        results.put((shrink, torch.equal(images(cfg), expected), len(found)))

    processes = [context.Process(target=evaluate, args=(shrink,)) for shrink in (2, 4, 6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(results.get() for _ in processes) == [(shrink, True, len(expected)) for shrink in (2, 4, 6)]
    assert not [left for left in folder.iterdir() if left.suffix != ".crops"]


def test_the_limit_holds(tiny_cfg, folder, capsys):
    images(tiny_cfg)
    before = {pack: pack.stat().st_size for pack in folder.glob("*.crops")}  # of test and validation images
    tiny_cfg.defrost()
    tiny_cfg.DATALOADER.CACHE_DISK_GIB = sum(before.values()) / 2**30
    tiny_cfg.INPUT.SIZE = (tiny_cfg.INPUT.SIZE[0] - 2,) * 2
    images(tiny_cfg)
    after = {pack: pack.stat().st_size for pack in folder.glob("*.crops")}
    assert not before.keys() & after.keys() and len(after) == 2
    tiny_cfg.DATALOADER.CACHE_DISK_GIB = 1e-9
    assert type(DataManager(tiny_cfg).test_loader.dataset) is DatasetWrapper
    assert "CACHE_DISK_GIB" in capsys.readouterr().err


def test_a_full_disk_is_said_and_nothing_is_left(tiny_cfg, folder, capsys, monkeypatch):
    def full(descriptor, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(row_pack, "_set_aside", full)
    assert torch.equal(images(tiny_cfg), without_cache(tiny_cfg))
    assert "No space left" in capsys.readouterr().err and not list(folder.iterdir())


def test_packs_travel_to_other_processes_by_name(tmp_path):
    pack = CropPack(tmp_path / "a.crops", 2, (3, 4))
    pack.reserve()
    assert pack.read(0) is None
    pack.write(1, torch.arange(36, dtype=torch.uint8).view(3, 4, 3).numpy())
    again = pickle.loads(pickle.dumps(pack))
    assert (again.read(1) == pack.read(1)).all() and len(pickle.dumps(pack)) < 1000


def test_training_images_are_decoded_once(tiny_cfg, monkeypatch):
    manager = DataManager(tiny_cfg)
    data = manager.train_loader_x.dataset
    torch.manual_seed(0)
    expected = [data[i]["img"] for i in range(len(data))]
    data.keep_decoded(gib=0.1)
    assert len(data.decoded) == len(data) and not isinstance(data, CachedCrops)
    monkeypatch.setattr("dassl.data.wrapper.read_image", lambda path: pytest.fail("read again"))
    torch.manual_seed(0)
    for i, image in enumerate(expected):
        assert torch.equal(data[i]["img"], image)
    data.decoded.clear()
    monkeypatch.undo()
    data.keep_decoded(gib=5e-6)
    assert len(data.decoded) < len(data)
