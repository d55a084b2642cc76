"""A small oxford_pets with its split file, a tiny CLIP beside it, and short runs on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import train
from clip.model import CLIP

CLASSES = ("abyssinian", "bengal", "boxer", "pug")
PARTS = {"train": range(6), "val": range(6, 7), "test": range(7, 9)}  # numbers of each class's images


def make(root: Path) -> Path:
    """Write data and CLIP below a folder; return it."""
    folder, rng = root / "data" / "oxford_pets", np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    split = {part: [] for part in PARTS}
    for label, name in enumerate(CLASSES):
        for part, i in ((part, i) for part, numbers in PARTS.items() for i in numbers):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{name}_{i}.jpg")
            split[part].append([f"{name}_{i}.jpg", label, name])
    (folder / "split_zhou_OxfordPets.json").write_text(json.dumps(split))
    torch.manual_seed(0)
    torch.save(CLIP(32, 16, 2, 64, 8, 77, 49408, 64, 1, 2).state_dict(), root / "clip.pt")
    return root


def run(root: Path, method: str, config: str, name: str, *options: object) -> Path:
    """Run train.py to its end, with seed 1; return the output folder."""
    words = ["--trainer", method, "--seed", "1", "--root", root / "data", "--output-dir", root / name]
    words += ["--dataset-config-file", "configs/datasets/oxford_pets.yaml", "--backbone", root / "clip.pt"]
    words += ["--config-file", f"configs/trainers/{method}/{config}.yaml"]
    words += ["INPUT.SIZE", "(16,16)", "DATALOADER.NUM_WORKERS", 0, "DATALOADER.TRAIN_X.BATCH_SIZE", 4]
    words += ["USE_CUDA", False, "DATASET.NUM_SHOTS", 2, *options]
    assert train.main([str(word) for word in words]) == 0
    return root / name


def record(folder: Path) -> dict:
    """Return a run's record."""
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))
