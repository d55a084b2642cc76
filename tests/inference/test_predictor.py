"""Predictions of every method are those of its own trainer, for trained classes, others, and both at once."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from PIL import Image

import train
from dassl.engine import build_trainer
from inference.classes import ClassesError
from inference.predictor import Predictor
from inference.run_folder import RunError
from safeio.errors import UserError
from trainers.base.run_settings import settings_of_run

BASE, NEW = ("amber", "green_field"), ("red square", "teal")


def trainers_scores(runs, method: str, run, classes: str, test_classes: str, images: torch.Tensor) -> torch.Tensor:
    """Return the trainer's scores of images after loading the run, as `train.py --eval-only` does."""
    words = runs.arguments(method, classes, runs.folder / "unused", "TEST.CLASSES", test_classes)
    trainer = build_trainer(settings_of_run(train.parse(words)).cfg)
    trainer.load_model(run)
    with trainer.fixed_classes():
        return trainer.model_inference(images)


def image_batch(predictor: Predictor, runs) -> torch.Tensor:
    return torch.stack([predictor.transform(Image.open(file)) for file in runs.files()])


def close(given: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)


def test_trained_classes(method, runs):
    run = runs(method)
    predictor = Predictor.load(run, device="cpu")
    assert predictor.classes == BASE and all(predictor.seen)
    images = image_batch(predictor, runs)
    expected = trainers_scores(runs, method, run, "base", "seen", images)
    close(predictor.scores(images), expected)
    found = predictor.predict([runs.images], topk=2, batch_size=5)
    assert [one.path for one in found] == runs.files() and not found.unreadable
    chances = expected.softmax(dim=1)
    for one, row in zip(found, chances, strict=True):
        assert one.classes == tuple(BASE[i] for i in row.argsort(descending=True))
        assert one.probabilities == pytest.approx(sorted(row.tolist(), reverse=True), abs=1e-4)


def test_all_classes(method, runs):
    predictor = Predictor.load(runs(method, "all"), device="cpu")
    assert predictor.classes == (*BASE, *NEW)
    (one,) = predictor.predict(runs.files()[0], topk=9)
    assert sum(one.probabilities) == pytest.approx(1, abs=1e-5) and len(one.classes) == 4


def test_trained_and_new_classes_in_any_order(method, runs):
    """Each column is by the rule of its kind, or new classes are refused by name."""
    run, asked = runs(method), ["Teal", "green field", "red square", "amber"]
    try:
        predictor = Predictor.load(run, asked, device="cpu")
    except ClassesError as refusal:
        assert method in str(refusal) and "Teal" in str(refusal)
        assert not Predictor.load(run, device="cpu").method.transfers
        return
    assert predictor.seen == (False, True, False, True)
    images = image_batch(predictor, runs)
    trained = trainers_scores(runs, method, run, "base", "seen", images)
    others = trainers_scores(runs, method, run, "new", "unseen", images)
    close(predictor.scores(images), torch.stack([others[:, 1], trained[:, 1], others[:, 0], trained[:, 0]], dim=1))
    assert predictor.rules == tuple(predictor.method.rules[not seen] for seen in predictor.seen)


def test_some_of_the_trained_classes(method, runs):
    run = runs(method, "all")
    whole = Predictor.load(run, device="cpu")
    few = whole.with_classes(["teal", "amber"])
    images = image_batch(whole, runs)
    close(few.scores(images), whole.scores(images)[:, [3, 0]])


def test_the_rules_have_names(runs):
    assert Predictor.load(runs("MMRL"), ["amber", "sea"], device="cpu").rules == ("fused", "class token")
    assert Predictor.load(runs("TipAdapter"), ["sea"], device="cpu").rules == ("zero-shot",)


def test_contexts_per_class_know_their_own_classes_only(runs):
    run = runs("CoOp", "all", "TRAINER.COOP.CSC", "True")
    whole = Predictor.load(run, device="cpu")
    images = image_batch(whole, runs)
    close(whole.with_classes(["teal"]).scores(images), whole.scores(images)[:, [3]])
    with pytest.raises(ClassesError, match=r"CoOp .*others: sea\."):
        whole.with_classes(["sea"])


@pytest.fixture
def copied(runs, tmp_path):
    """A run that may be changed."""
    return shutil.copytree(runs("MMRL"), tmp_path / "run")


def changed(run, **fields) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | fields))


def test_a_record_without_classes_asks_checkpoint_and_dataset(copied, runs):
    changed(copied, classes=None)
    assert Predictor.load(copied, device="cpu").classes == BASE
    for file in copied.glob("*/model.pth.tar-*"):
        torch.save(torch.load(file, weights_only=True) | {"about": None}, file)
    assert Predictor.load(copied, device="cpu").classes == BASE
    config = json.loads((copied / "run.json").read_text())["config"]
    config["DATASET"]["ROOT"] = "nowhere"
    changed(copied, config=config)
    with pytest.raises(RunError, match=r"which classes.*dataset Folder.*nowhere"):
        Predictor.load(copied, device="cpu")


def test_float16_is_float32_on_a_cpu(copied, runs):
    config = json.loads((copied / "run.json").read_text())["config"]
    config["TRAINER"]["MMRL"]["PREC"] = "fp16"
    changed(copied, config=config)
    reduced, plain = (Predictor.load(run, device="cpu") for run in (copied, runs("MMRL")))
    assert reduced.reduced and not plain.reduced
    images = image_batch(plain, runs)
    assert torch.equal(reduced.scores(images), plain.scores(images))


def test_the_best_checkpoint_goes_before_the_newest(copied, runs):
    (folder,) = (path.parent for path in copied.rglob("checkpoint"))
    newest = next(folder.glob("model.pth.tar-*"))
    best = torch.load(newest, weights_only=True)
    best["state_dict"]["proj_rep"] = best["state_dict"]["proj_rep"].flip(0)
    torch.save(best, folder / "model-best.pth.tar")
    assert torch.equal(Predictor.load(copied, device="cpu").method.proj_rep, best["state_dict"]["proj_rep"])


def test_what_is_no_run_is_said(copied, runs, tmp_path):
    def message(folder, **options) -> str:
        with pytest.raises((RunError, RuntimeError, UserError)) as error:
            Predictor.load(folder, device="cpu", **options)
        return str(error.value)

    assert "no folder" in message(tmp_path / "nowhere")
    assert f"Runs below it: {copied}" in message(tmp_path)
    assert "photo-ViT-8" in message(copied, backbone="photo-ViT-9")
    changed(copied, method="MMLR")
    assert "MMLR" in message(copied) and "did you mean MMRL?" in message(copied)
    changed(copied, method="MMRL")
    for file in copied.glob("*/model.pth.tar-*"):
        file.write_bytes(file.read_bytes()[:2000])
        assert file.name in message(copied)
        file.unlink()
    assert "without a checkpoint" in message(copied) and "the run that trained" in message(copied)
    (copied / "run.json").write_text("{")
    assert "run.json" in message(copied) and "cannot be read" in message(copied)


def test_another_backbone_is_refused(copied, runs):
    other = torch.load(runs.folder / "clip.pt", weights_only=True)
    other["logit_scale"] = other["logit_scale"] + 1
    torch.save(other, copied / "other.pt")
    with pytest.raises(ValueError, match=r"MODEL\.BACKBONE\.NAME.*there.*here"):
        Predictor.load(copied, device="cpu", backbone=str(copied / "other.pt"))


def test_numbers_that_make_no_sense(runs):
    with pytest.raises(ValueError, match="topk is 0"):
        Predictor.load(runs("ZeroshotCLIP"), device="cpu").predict(runs.images, topk=0)
