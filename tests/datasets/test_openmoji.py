"""The embedded dataset: what is shipped, and the two builders that read it."""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import datasets
from dassl.data.datasets import DATASET_REGISTRY
from datasets.openmoji import EMBEDDED, FOLDER, SPLIT_FILE

HERE = EMBEDDED / FOLDER
SPLIT = json.loads((HERE / SPLIT_FILE).read_text(encoding="utf-8"))
NAMES = sorted({name for _, _, name in SPLIT["train"]})


def build(name: str, root, shots: int = -1, seed: int = 1, classes: str = "all"):
    dataset = SimpleNamespace(ROOT=str(root), NUM_SHOTS=shots, SUBSAMPLE_CLASSES=classes)
    return DATASET_REGISTRY.get(name)(SimpleNamespace(DATASET=dataset, SEED=seed))


def test_importing_the_package_registers_every_file():
    files = {path.stem for path in EMBEDDED.parent.glob("[!_]*.py")} - set(datasets.COMMANDS)
    modules = {DATASET_REGISTRY.get(name).__module__ for name in DATASET_REGISTRY.registered_names()}
    assert {f"{datasets.__name__}.{file}" for file in files} <= modules


def test_enough_classes_and_images():
    per_class = Counter(name for part in SPLIT.values() for _, _, name in part)
    train = Counter(name for _, _, name in SPLIT["train"])
    assert len(NAMES) == 38
    assert min(per_class.values()) >= 24
    assert min(train.values()) >= 16
    assert all({name for _, _, name in rows} == set(NAMES) for rows in SPLIT.values())


def test_labels_are_the_alphabet():
    assert {(label, name) for part in SPLIT.values() for _, label, name in part} == set(enumerate(NAMES))


def test_every_image_opens_and_none_is_left_over():
    named = {
        "images": {path for part in SPLIT.values() for path, _, _ in part},
        "line": {p for p, _, _ in SPLIT["test"]},
    }
    for folder, paths in named.items():
        assert {str(file.relative_to(HERE / folder)) for file in (HERE / folder).rglob("*.png")} == paths
        for path in paths:
            with Image.open(HERE / folder / path) as image:
                image.load()
                assert image.size == (64, 64)


def test_no_image_is_in_two_parts():
    owner = {}
    for part, rows in SPLIT.items():
        for path, _, _ in rows:
            with Image.open(HERE / "images" / path) as image:
                digest = hashlib.sha256(image.convert("RGB").tobytes()).digest()
            assert digest not in owner, f"{path} of {part} is also {owner[digest]}"
            owner[digest] = f"{path} of {part}"


def test_line_art_is_black_on_white():
    for path, _, _ in random.Random(1).sample(SPLIT["test"], 50):
        channels = np.asarray(Image.open(HERE / "line" / path).convert("RGB")).astype(int)
        assert np.ptp(channels, axis=2).max() <= 8, path


def test_all_classes(tmp_path):
    dataset = build("OpenMoji", tmp_path)
    assert [len(dataset.train_x), len(dataset.val), len(dataset.test)] == [len(SPLIT[part]) for part in SPLIT]
    assert dataset.classnames == NAMES


@pytest.mark.parametrize("name", ["OpenMoji", "OpenMojiLine"])
def test_base_and_new_share_the_classes(tmp_path, name):
    base, new = build(name, tmp_path, classes="base"), build(name, tmp_path, classes="new")
    middle = math.ceil(len(NAMES) / 2)
    assert (base.classnames, new.classnames) == (NAMES[:middle], NAMES[middle:])
    assert len(base.test) + len(new.test) == len(SPLIT["test"])
    for half in (base, new):
        assert all(half.classnames[item.label] == item.classname for item in half.test)


def test_sixteen_shots(tmp_path):
    dataset = build("OpenMoji", tmp_path, shots=16, classes="base")
    assert set(Counter(item.label for item in dataset.train_x).values()) == {16}
    assert len({item.impath for item in dataset.train_x}) == len(dataset.train_x)
    again, other = (build("OpenMoji", tmp_path, shots=16, seed=seed, classes="base") for seed in (1, 2))
    assert [item.impath for item in again.train_x] == [item.impath for item in dataset.train_x]
    assert [item.impath for item in other.train_x] != [item.impath for item in dataset.train_x]


def test_nothing_is_written_into_the_program(tmp_path):
    before = sorted(HERE.iterdir())
    build("OpenMoji", tmp_path, shots=2)
    assert sorted(HERE.iterdir()) == before


def test_a_folder_below_the_data_root_goes_first(tmp_path):
    shutil.copytree(HERE, tmp_path / FOLDER, symlinks=True)
    dataset = build("OpenMoji", tmp_path, shots=2)
    assert all(item.impath.startswith(str(tmp_path)) for item in dataset.train_x + dataset.test)
    assert (tmp_path / FOLDER / "split_fewshot" / "shot_2-seed_1.json").is_file()


def test_line_art_has_the_labels_of_the_colour_images(tmp_path):
    colour, line = build("OpenMoji", tmp_path), build("OpenMojiLine", tmp_path)
    assert [(i.label, i.classname) for i in line.test] == [(i.label, i.classname) for i in colour.test]
    assert line.classnames == colour.classnames
    assert all("line" in item.impath for item in line.test)
