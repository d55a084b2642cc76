"""Runs of train.py on own images, without a configuration file for the dataset."""

from __future__ import annotations

import pytest

import train
from dassl.data.few_shot import group_by
from datasets.clothing_64 import Clothing
from runs.record import read_record
from safeio.packed_images import packed_bytes

from .conftest import fill


def words(root, output, *more, method="CoOp"):
    options = ["--trainer", method, "--config-file", f"configs/trainers/{method}/photo.yaml", "--root", str(root)]
    options += ["--output-dir", str(output), "--seed", "1", "--train-epoch", "1"]
    return [*options, "DATASET.NAME", "Folder", "DATASET.NUM_SHOTS", "1", "DATALOADER.NUM_WORKERS", "0", *more]


def test_an_empty_test_image_stops_the_run_before_it_trains(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CROP_CACHE", str(tmp_path / "crops"))
    for part, count in (("train", 2), ("test", 3)):
        fill(tmp_path / "own" / part, cat=count, dog=count)
    whole = (tmp_path / "own" / "test" / "dog" / "1.png").read_bytes()
    for name in ("cat/0.png", "dog/1.png"):
        (tmp_path / "own" / "test" / name).write_bytes(b"")
    assert train.main(words(tmp_path / "own", tmp_path / "run")) == 1
    said = capsys.readouterr()
    assert "2 in all" in said.err and "test/cat/0.png" in said.err and "test/dog/1.png" in said.err
    assert "epoch [" not in said.out and read_record(tmp_path / "run")["status"] == "failed"
    for name in ("cat/0.png", "dog/1.png"):
        (tmp_path / "own" / "test" / name).write_bytes(whole)
    assert train.main(words(tmp_path / "own", tmp_path / "run")) == 0
    record = read_record(tmp_path / "run")
    assert (record["status"], record["dataset"], record["images"]["test"]["count"]) == ("complete", "own", 6)


def test_own_images_are_turned_upright_unless_asked_otherwise(tmp_path):
    def upright(*more):
        return train.settings_of_run(train.parse(words(tmp_path, tmp_path / "run", *more))).cfg.INPUT.UPRIGHT

    assert upright() is True and upright("INPUT.UPRIGHT", "False") is False
    assert upright("DATASET.NAME", "Clothing") is False  # as the published code reads its benchmarks


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    """Photographs of four kinds of clothes: two of each for training, twelve for testing."""
    root = tmp_path_factory.mktemp("data") / "clothes"
    whole = Clothing.whole()
    for part, items, count in (("train", whole.train, 2), ("test", whole.test, 12)):
        for label, group in group_by(items, lambda item: item.label).items():
            for number, item in enumerate(group[:count] if label < 4 else ()):
                path = root / part / item.classname / f"{number}.webp"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(packed_bytes(item.impath))
    return root


def outcome(folder):
    record = read_record(folder)
    return record["metrics"]["accuracy"], record["test_classes"], record["test_classes_reason"]


def test_without_a_protocol_the_rule_follows_from_the_classes(clothes, tmp_path, capsys):
    assert train.main(words(clothes, tmp_path / "run", method="MMRL")) == 0
    assert "Prediction rule: seen (no protocol: a run that trains is tested" in capsys.readouterr().out
    found = {}
    for rule in ("", "seen", "unseen"):
        more = ["TEST.CLASSES", rule] if rule else []
        options = words(clothes, tmp_path / f"test{rule}", *more, method="MMRL")
        at = options.index("DATASET.NAME")
        options[at:at] = ["--eval-only", "--model-dir", str(tmp_path / "run")]
        assert train.main(options) == 0
        found[rule] = outcome(tmp_path / f"test{rule}")
    assert found["seen"][0] != found["unseen"][0]  # the two rules of MMRL are two
    assert outcome(tmp_path / "run")[:2] == found["seen"][:2] == found[""][:2] == (found["seen"][0], "seen")
    assert found["unseen"][1:] == ("unseen", "command line")


def test_a_method_that_predicts_its_own_classes_only_is_tested_on_them(clothes, tmp_path):
    assert train.main(words(clothes, tmp_path / "run", method="LinearProbe")) == 0
    accuracy, rule, _ = outcome(tmp_path / "run")
    assert rule == "seen" and accuracy > 25


def test_images_that_a_list_elsewhere_names_are_on_record(clothes, tmp_path):
    rows = [f"{path},{path.parent.name},{path.parts[-3]}" for path in sorted(clothes.rglob("*.webp"))]
    (tmp_path / "list.csv").write_text("path,label,split\n" + "\n".join(rows))
    assert train.main(words(tmp_path / "list.csv", tmp_path / "run")) == 0
    outside = read_record(tmp_path / "run")["data"]["outside"]
    assert len(outside["folders"]) == 8 and len(outside["fingerprint"]) == 64
    images = read_record(tmp_path / "run")["images"]
    assert images["test"]["bytes"] == sum(path.stat().st_size for path in (clothes / "test").rglob("*.webp"))
