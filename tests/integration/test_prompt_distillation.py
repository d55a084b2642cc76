"""PromptKD in base-to-novel runs: which images it sees, who teaches, what its record says, and what is refused."""

from __future__ import annotations

import pytest
import small_pets
from small_pets import CLASSES

from inference.predictor import Predictor
from trainers.promptkd import PromptKD

CONFIG = "vit_b16_c2_ep20_batch8_4+4ctx"
SHORT = ["OPTIM.MAX_EPOCH", 1, "TRAINER.PROMPTKD.PREC", "fp32", "TRAINER.PROMPTKD.PROMPT_DEPTH_VISION", 2]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return small_pets.make(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="module")
def teacher(root):
    words = ["DATASET.SUBSAMPLE_CLASSES", "base", "OPTIM.MAX_EPOCH", 1, "TRAINER.MAPLE.PREC", "fp32"]
    words += ["TRAINER.MAPLE.PROMPT_DEPTH", 2]
    return small_pets.run(root, "MaPLe", "vit_b16_c2_ep5_batch4_2ctx", "teacher", *words)


def distil(root, name, *options, classes="base"):
    return small_pets.run(root, "PromptKD", CONFIG, name, "DATASET.SUBSAMPLE_CLASSES", classes, *SHORT, *options)


def test_it_learns_from_all_images_without_labels(root, teacher, monkeypatch):
    seen, plain = [], PromptKD.parse_batch_train

    def noted(self, batch):
        images, taught = plain(self, batch)
        files = [path.rsplit("/", 1)[1] for path in batch["impath"]]
        seen.extend(zip(files, batch["label"].tolist(), strict=True))
        assert taught.shape == (len(images), len(CLASSES)) and self.method.domain == CLASSES
        return images, taught

    monkeypatch.setattr(PromptKD, "parse_batch_train", noted)
    folder = distil(root, "student", "TRAINER.PROMPTKD.TEACHER_RUN", teacher)
    numbers = small_pets.PARTS["train"]
    assert {name for name, _ in seen} == {f"{name}_{i}.jpg" for name in CLASSES for i in numbers}
    assert {label for _, label in seen} == {-1}
    record = small_pets.record(folder)
    assert record["marks"] == ["transductive"] and record["classes"] == list(CLASSES[:2])
    files = sorted((root / "data" / "oxford_pets" / "images").glob("pug_*.jpg"))
    found = Predictor.load(folder, list(CLASSES[2:]), device="cpu").predict(files, topk=2)
    assert all(set(one.classes) == set(CLASSES[2:]) for one in found)


def test_new_classes_are_tested(root, teacher):
    trained = distil(root, "to test", "TRAINER.PROMPTKD.TEACHER_RUN", teacher)
    words = ["TRAINER.PROMPTKD.TEACHER_RUN", teacher, "DATASET.SUBSAMPLE_CLASSES", "new"]
    tested = small_pets.run(root, "PromptKD", CONFIG, "tested", "--eval-only", "--model-dir", trained, *SHORT, *words)
    record = small_pets.record(tested)
    assert record["status"] == "complete" and record["classes"] == list(CLASSES[2:])


def test_without_unlabelled_images_nothing_is_transductive(root):
    folder = distil(root, "inductive", "DATASET.UNLABELLED", "False", "TRAINER.PROMPTKD.TEACHER", root / "clip.pt")
    assert small_pets.record(folder)["marks"] == []


def test_who_cannot_teach_is_refused(root, tmp_path, capsys):
    probe = small_pets.run(root, "ZSLP", "vit_b16", "probe", "OPTIM.MAX_EPOCH", 1, "TRAINER.ZSLP.PREC", "fp32")
    for folder, said in ((probe, "ZSLP"), (tmp_path, "finished run's folder")):
        with pytest.raises(AssertionError):
            distil(root, f"refused {said[0]}", "TRAINER.PROMPTKD.TEACHER_RUN", folder)
        shown = capsys.readouterr()
        assert said in shown.err and "Traceback" not in shown.err


def test_a_teacher_of_another_image_size_is_refused(root, capsys):
    with pytest.raises(AssertionError):
        distil(root, "refused size", "TRAINER.PROMPTKD.TEACHER", "photo-ViT-8")
    assert "64 pixels" in capsys.readouterr().err
