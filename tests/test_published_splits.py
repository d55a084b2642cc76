"""2SFS by its authors' protocol: trained on a few-shot choice that other code published, in both settings."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import train
from clip.model import CLIP
from dassl.utils import Logger
from trainers.base.trainer import ClipTrainer

CLASSES = ("abyssinian", "bengal", "boxer", "pug")
CHOSEN = dict.fromkeys(CLASSES, (5, 1))  # numbers of the images that are chosen, not what a seed would draw


@pytest.fixture
def root(tmp_path):
    """A small oxford_pets with its split file, a tiny CLIP beside it."""
    folder, rng = tmp_path / "data" / "oxford_pets", np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    split = {"train": [], "val": [], "test": []}
    for label, name in enumerate(CLASSES):
        for i in range(8):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{name}_{i}.jpg")
            split["train" if i < 6 else "val" if i < 7 else "test"].append([f"{name}_{i}.jpg", label, name])
    (folder / "split_zhou_OxfordPets.json").write_text(json.dumps(split))
    torch.manual_seed(0)
    torch.save(CLIP(32, 16, 2, 64, 8, 77, 49408, 64, 1, 2).state_dict(), tmp_path / "clip.pt")
    return tmp_path


def publish(root, rows) -> None:
    place = root / "data" / "oxford_pets" / "split_fewshot"
    place.mkdir()
    (place / "shot_2-seed_1-train.jsonl").write_text("\n".join(map(json.dumps, rows)))


def rows() -> list[dict]:
    where = "/somewhere/else/oxford_pets/images"
    return [
        {"impath": f"{where}/{name}_{i}.jpg", "label": label, "classname": name}
        for label, name in enumerate(CLASSES)
        for i in CHOSEN[name]
    ]


def trained_on(root, monkeypatch, classes: str) -> list[str]:
    """File names of the training images of a run, in their order."""
    seen = []
    plain = ClipTrainer.before_train

    def noted(self):
        seen.extend(item.impath.rsplit("/", 1)[1] for item in self.dm.dataset.train_x)
        plain(self)

    monkeypatch.setattr(ClipTrainer, "before_train", noted)
    words = ["--trainer", "TwoStage", "--seed", "1", "--root", root / "data", "--output-dir", root / f"out-{classes}"]
    words += ["--dataset-config-file", "configs/datasets/oxford_pets.yaml"]
    words += ["--config-file", "configs/trainers/TwoStage/vit_b16.yaml", "--backbone", root / "clip.pt"]
    words += ["DATASET.NUM_SHOTS", 2, "DATASET.SUBSAMPLE_CLASSES", classes, "TRAINER.TWOSTAGE.N_ITERS", 2]
    words += ["INPUT.SIZE", "(16,16)", "DATALOADER.NUM_WORKERS", 0, "DATALOADER.TRAIN_X.BATCH_SIZE", 4]
    words += ["TRAINER.TWOSTAGE.PREC", "fp32", "USE_CUDA", False]
    try:
        assert train.main([str(word) for word in words]) == 0
    finally:
        while isinstance(sys.stdout, Logger):
            sys.stdout.close()
            sys.stdout = sys.stdout.console
    return seen


@pytest.mark.parametrize(("classes", "names"), [("all", CLASSES), ("base", CLASSES[:2])])
def test_trained_on_exactly_what_was_published(classes, names, root, monkeypatch, capsys):
    publish(root, rows())
    assert trained_on(root, monkeypatch, classes) == [f"{name}_{i}.jpg" for name in names for i in CHOSEN[name]]
    assert "Few-shot choice read from" in (root / f"out-{classes}" / "log.txt").read_text()
    assert json.loads((root / f"out-{classes}" / "run.json").read_text())["status"] == "complete"


def test_a_file_of_other_labels_is_passed_over_in_words(root, monkeypatch):
    publish(root, [row | {"label": 3 - row["label"]} for row in rows()])
    found = trained_on(root, monkeypatch, "all")
    assert len(found) == 8 and "passed over" in (root / "out-all" / "log.txt").read_text()
