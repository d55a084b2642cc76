"""A dataset file of the CoOp family that calls on OxfordPets, DescribableTextures and ImageNet works as it is."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from dassl.config import get_cfg_default
from dassl.data.datasets import DatasetBase, Datum
from datasets.dtd import DescribableTextures as DTD
from datasets.imagenet import ImageNet
from datasets.oxford_pets import OxfordPets

GOLDEN = json.loads(
    (Path(os.environ.get("GOLDEN_DIR", Path(__file__).parents[2] / "golden")) / "fewshot.json").read_text("utf-8")
)


class Shapes(DatasetBase):
    """As users write them: a split drawn once from class folders, few shots, half of the classes."""

    dataset_dir = "shapes"

    def __init__(self, cfg):
        root = os.path.abspath(os.path.expanduser(cfg.DATASET.ROOT))
        self.dataset_dir = os.path.join(root, self.dataset_dir)
        self.image_dir = os.path.join(self.dataset_dir, "images")
        self.split_path = os.path.join(self.dataset_dir, "split_zhou_Shapes.json")
        if os.path.exists(self.split_path):
            train, val, test = OxfordPets.read_split(self.split_path, self.image_dir)
        else:
            train, val, test = DTD.read_and_split_data(self.image_dir, ignored=["junk"], new_cnames={"Sq": "square"})
            OxfordPets.save_split(train, val, test, self.split_path, self.image_dir)
        if cfg.DATASET.NUM_SHOTS >= 1:
            train = self.generate_fewshot_dataset(train, num_shots=cfg.DATASET.NUM_SHOTS)
            val = self.generate_fewshot_dataset(val, num_shots=min(cfg.DATASET.NUM_SHOTS, 4))
        train, val, test = OxfordPets.subsample_classes(train, val, test, subset=cfg.DATASET.SUBSAMPLE_CLASSES)
        super().__init__(train_x=train, val=val, test=test)


@pytest.fixture
def cfg(tmp_path):
    for name in ("Sq", "circle", "junk", "star"):
        (tmp_path / "shapes" / "images" / name).mkdir(parents=True)
        for i in range(10):
            (tmp_path / "shapes" / "images" / name / f"{i}.png").touch()
    cfg = get_cfg_default()
    cfg.DATASET.ROOT, cfg.DATASET.NUM_SHOTS, cfg.DATASET.SUBSAMPLE_CLASSES = str(tmp_path), 2, "base"
    return cfg


def test_a_dataset_file(cfg, tmp_path, capsys):
    random.seed(1)
    drawn = Shapes(cfg)
    assert drawn.classnames == ["square", "circle"]
    assert (len(drawn.train_x), len(drawn.val), len(drawn.test)) == (4, 4, 6)
    said = capsys.readouterr().out
    assert "Splitting into 50% train, 20% val, and 30% test" in said and "SUBSAMPLE BASE CLASSES!" in said
    kept = json.loads((tmp_path / "shapes" / "split_zhou_Shapes.json").read_text())
    assert [len(kept[part]) for part in ("train", "val", "test")] == [15, 6, 9]
    cfg.DATASET.SUBSAMPLE_CLASSES = "new"
    assert [(item.label, item.classname) for item in Shapes(cfg).test] == [(0, "star")] * 3
    assert f"Reading split from {tmp_path / 'shapes' / 'split_zhou_Shapes.json'}" in capsys.readouterr().out


def test_they_draw_what_the_published_code_draws(monkeypatch):
    monkeypatch.setattr("dassl.data.datasets.base_dataset.os.path.isfile", lambda path: True)
    whole = [Datum(path, label, 0, f"class {label}") for path, label in GOLDEN["train"]]
    for case in GOLDEN["split_trainval"]:
        random.seed(case["seed"])
        train, val = OxfordPets.split_trainval(whole)
        assert ([d.impath for d in train], [d.impath for d in val]) == (case["train"], case["val"])
    for case in GOLDEN["subsample"]:
        train, test = ([Datum(row[0], row[1], 0, row[2]) for row in case[part]] for part in ("train", "test"))
        for subset in ("all", "base", "new"):
            halves = OxfordPets.subsample_classes(train, test, subset=subset)
            rows = [[[d.impath, d.label, d.classname] for d in part] for part in halves]
            assert rows == [case[subset]["train"], case[subset]["test"]]


def test_class_names(tmp_path):
    (tmp_path / "classnames.txt").write_text("n01440764 tench\r\nn01443537 goldfish\r\nn02085620 Chihuahua dog\r\n")
    names = ImageNet.read_classnames(str(tmp_path / "classnames.txt"))
    assert list(names.items())[1:] == [("n01443537", "goldfish"), ("n02085620", "Chihuahua dog")]
