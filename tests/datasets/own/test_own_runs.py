"""Runs of train.py on own images, without a configuration file for the dataset."""

from __future__ import annotations

import train
from runs.record import read_record

from .conftest import fill


def words(root, output, *more):
    options = ["--trainer", "CoOp", "--config-file", "configs/trainers/CoOp/photo.yaml", "--root", str(root)]
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
        return train.resolve(train.parse(words(tmp_path, tmp_path / "run", *more))).cfg.INPUT.UPRIGHT

    assert upright() is True and upright("INPUT.UPRIGHT", "False") is False
    assert upright("DATASET.NAME", "Clothing") is False  # as the published code reads its benchmarks
