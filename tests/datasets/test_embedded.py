"""The datasets inside the repository: complete, read in place, and chosen from as the full benchmark is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import datasets  # noqa: F401  (registers the builders)
from dassl.data.datasets import DATASET_REGISTRY
from datasets.base.embedded import EMBEDDED, addresses, unpack
from datasets.base.images_used import images_used
from datasets.base.looks import BlurAndNoise, FalseColours, Pencil
from datasets.base.splits import relative
from runs.protocol import embedded_config, methods, plan
from safeio.errors import UserError
from safeio.images import read_image

CALTECH = EMBEDDED / "caltech101_64"
LOOKS = {"Caltech101Pencil": Pencil, "Caltech101Colours": FalseColours, "Caltech101Noise": BlurAndNoise}


def build(name: str, root: Path | str = "", shots: int = -1, seed: int = 1, classes: str = "all"):
    dataset = SimpleNamespace(ROOT=str(root), NUM_SHOTS=shots, SUBSAMPLE_CLASSES=classes)
    return DATASET_REGISTRY.get(name)(SimpleNamespace(DATASET=dataset, SEED=seed))


@pytest.mark.parametrize(
    ("name", "parts", "classes"),
    [("Caltech101Small", (4128, 1649, 2465), 100), ("Clothing", (3068, 341, 372), 10)],
)
def test_every_image_is_there(name, parts, classes):
    dataset = build(name)
    assert (len(dataset.train_x), len(dataset.val), len(dataset.test)) == parts
    assert dataset.num_classes == classes
    for item in dataset.test[::97]:
        assert min(read_image(item.impath).size) == 64


def test_the_images_on_record_are_the_same_in_every_clone(monkeypatch, tmp_path):
    here = build("Clothing", shots=1)
    recorded = images_used(here, "data")
    for items in (here.train_x, here.val, here.test):
        for item in items:
            item._impath = item.impath.replace(str(EMBEDDED), str(tmp_path))
    monkeypatch.setattr("datasets.base.images_used.EMBEDDED", tmp_path)
    assert images_used(here, "elsewhere") == recorded
    assert images_used(build("Clothing", shots=1, seed=2), "data")["train"] != recorded["train"]


@pytest.mark.parametrize("folder", ["caltech101_64", "clothing_64"])
def test_the_split_names_each_image_of_the_archive_once(folder):
    (split,) = (EMBEDDED / folder).glob("split_*.json")
    paths = [path for part in json.loads(split.read_text()).values() for path, _, _ in part]
    assert len(paths) == len(set(paths)) and set(paths) == set(addresses(EMBEDDED / folder))


@pytest.fixture(scope="module")
def full_benchmark(tmp_path_factory):
    """Caltech101 as CoOp lays it out, with empty files for images."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "caltech-101"
    folder.mkdir()
    shutil.copy(CALTECH / "split_zhou_Caltech101.json", folder)
    for path in addresses(CALTECH):
        file = folder / "101_ObjectCategories" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root


@pytest.mark.parametrize(("shots", "seed"), [(1, 1), (4, 2), (16, 3)])
def test_few_shot_choices_are_those_of_the_full_benchmark(full_benchmark, shots, seed):
    ours, theirs = build("Caltech101Small", "", shots, seed), build("Caltech101", full_benchmark, shots, seed)
    images = full_benchmark / "caltech-101" / "101_ObjectCategories"
    for part in ("train_x", "val", "test"):
        mine = [(item.impath.split("::")[-1], item.label, item.classname) for item in getattr(ours, part)]
        full = [(relative(item, images), item.label, item.classname) for item in getattr(theirs, part)]
        assert mine == full


@pytest.mark.parametrize("look", LOOKS.values())
def test_a_look_changes_an_image_always_in_the_same_way(look):
    image = read_image(build("Caltech101Small").test[0].impath)
    before = np.asarray(image).copy()
    first, second = (np.asarray(look()(image)) for _ in range(2))
    assert np.array_equal(first, second) and np.array_equal(np.asarray(image), before)
    assert first.shape == before.shape and np.abs(first.astype(int) - before).mean() > 3


def test_a_pencil_drawing_of_a_plain_image_is_white():
    assert np.asarray(Pencil()(Image.new("RGB", (32, 20), "navy"))).min() == 255


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_is_applied_to_the_test_images_of_its_dataset(name):
    dataset = build(name, shots=16)
    assert isinstance(dataset.test_change, LOOKS[name])
    assert len(dataset.test) == len(dataset.train_x) == 2465 and not dataset.val


@pytest.mark.parametrize("method", methods())
def test_every_method_has_a_file_for_them(method):
    for run in plan("base2new", "train", method, "caltech101_64"):
        assert run.cfg == embedded_config("caltech101_64") and run.options["DATASET.NUM_SHOTS"] == 16


def test_the_looks_are_tested_with_the_model_of_the_photographs():
    (run,) = plan("domain_generalization", "test", "MMRL", "caltech101_64_pencil", [1])
    assert "/train/caltech101_64/" in run.model_folder


def test_images_are_unpacked_into_a_folder_for_each_class(tmp_path):
    names = unpack("clothing_64", tmp_path / "clothes", split="val", classes=2, images=3)
    files = sorted((tmp_path / "clothes").glob("*/*"))
    assert [file.parent.name for file in files] == sorted(names * 3) and len(names) == 2
    assert all(min(read_image(file).size) == 64 for file in files)
    with pytest.raises(UserError, match="not empty"):
        unpack("clothing_64", tmp_path / "clothes")
    with pytest.raises(UserError, match="only of caltech101_64, clothing_64"):
        unpack("dtd", tmp_path / "other")
