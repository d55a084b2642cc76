"""A tiny dataset on disk, a CoOp-style plugin, and the golden numbers."""

import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dassl.config import get_cfg_default
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY
from dassl.modeling import BACKBONE_REGISTRY, HEAD_REGISTRY
from dassl.utils import Logger

HERE = Path(__file__).parent
COLOURS = {"amber": (230, 170, 20), "blue": (20, 40, 220), "cyan": (20, 210, 210), "green": (30, 200, 30)}
COUNTS = {"train": 6, "val": 3, "test": 4}  # images per class


@pytest.fixture(scope="session")
def golden():
    """Reads a JSON file of golden numbers."""
    folder = Path(os.environ.get("GOLDEN_DIR", HERE.parent / "golden"))
    return lambda name: json.loads((folder / name).read_text())


@pytest.fixture(scope="session")
def golden_arrays():
    folder = Path(os.environ.get("GOLDEN_DIR", HERE.parent / "golden"))
    return lambda name: np.load(folder / name)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """A data folder with the dataset `colours`: noisy images of one colour per class."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        folder = root / "colours" / "images" / name
        folder.mkdir(parents=True)
        for part, count in COUNTS.items():
            for i in range(count):
                pixels = np.clip(np.array(colour) + rng.normal(0, 20, (20, 26, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{part}_{i}.png")
    return root


@pytest.fixture(scope="module")
def coop_style():
    """The plugin's train.py as a function of its command line; what it registers goes again afterwards."""
    registries = (DATASET_REGISTRY, TRAINER_REGISTRY, BACKBONE_REGISTRY, HEAD_REGISTRY)
    before = [dict(registry._objects) for registry in registries]
    sys.path.insert(0, str(HERE / "plugin"))
    entry = importlib.import_module("coop_style_train")
    yield lambda *argv: entry.main(entry.parse([str(word) for word in argv]))
    sys.path.remove(str(HERE / "plugin"))
    for registry, objects in zip(registries, before, strict=True):
        registry._objects = objects
    for path in (HERE / "plugin").glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(autouse=True)
def own_stdout():
    """Undo setup_logger."""
    yield
    if isinstance(sys.stdout, Logger):
        sys.stdout.close()
        sys.stdout = sys.stdout.console


@pytest.fixture
def tiny_cfg(data_root, tmp_path, coop_style):
    """The configuration of a small run on `colours` with the trainer `Prompted`, not frozen."""
    entry = sys.modules["coop_style_train"]
    cfg = get_cfg_default()
    entry.extend_cfg(cfg)
    cfg.DATASET.ROOT = str(data_root)
    cfg.DATASET.NAME = "Colours"
    cfg.TRAINER.NAME = "Prompted"
    cfg.OUTPUT_DIR = str(tmp_path / "out")
    cfg.USE_CUDA = False  # the trainers of these tests know nothing of devices
    cfg.INPUT.SIZE = (16, 16)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.TRAIN_X.BATCH_SIZE = 5
    cfg.OPTIM.MAX_EPOCH = 2
    return cfg
