"""2SFS by its authors' protocol: trained on a few-shot choice that other code published, in both settings."""

from __future__ import annotations

import json

import pytest
import small_pets
from small_pets import CLASSES

from trainers.base.trainer import ClipTrainer

CHOSEN = dict.fromkeys(CLASSES, (5, 1))  # numbers of the images that are chosen, not what a seed would draw


@pytest.fixture
def root(tmp_path):
    return small_pets.make(tmp_path)


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
    short = ["TRAINER.TWOSTAGE.N_ITERS", 2, "TRAINER.TWOSTAGE.PREC", "fp32"]
    small_pets.run(root, "TwoStage", "vit_b16", classes, "DATASET.SUBSAMPLE_CLASSES", classes, *short)
    return seen


@pytest.mark.parametrize(("classes", "names"), [("all", CLASSES), ("base", CLASSES[:2])])
def test_trained_on_exactly_what_was_published(classes, names, root, monkeypatch):
    publish(root, rows())
    assert trained_on(root, monkeypatch, classes) == [f"{name}_{i}.jpg" for name in names for i in CHOSEN[name]]
    assert "Few-shot choice read from" in (root / classes / "log.txt").read_text()
    assert small_pets.record(root / classes)["status"] == "complete"


def test_a_file_of_other_labels_is_passed_over_in_words(root, monkeypatch):
    publish(root, [row | {"label": 3 - row["label"]} for row in rows()])
    found = trained_on(root, monkeypatch, "all")
    assert len(found) == 8 and "drawn anew" in (root / "all" / "log.txt").read_text()
