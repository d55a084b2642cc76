"""Tip-Adapter and Tip-Adapter-F: what is saved, what they may choose on, interruptions, on golden cases' arrays."""

import numpy as np
import pytest
import torch

from golden_cases import LOGITS, Case, cases, close
from golden_tip_adapter import build


@pytest.fixture(params=cases({"TipAdapter"}), scope="module")
def case(request):
    return Case(request.param)


@pytest.fixture(scope="module")
def tip(case, tmp_path_factory):
    trainer = build(case, "TipAdapter", tmp_path_factory.mktemp("tip"))
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def tip_f(case, tmp_path_factory):
    trainer = build(case, "TipAdapterF", tmp_path_factory.mktemp("tip_f"))
    trainer.train()
    return trainer


@pytest.mark.parametrize("trainer", ["TipAdapter", "TipAdapterF"])
def test_what_is_saved_is_what_was_chosen(case, tip, tip_f, trainer):
    """Loaded into a trainer with another cache; for classes that are not in it, zero-shot CLIP."""
    done = {"TipAdapter": tip, "TipAdapterF": tip_f}[trainer]
    fresh = build(case, trainer, done.output_dir)
    fresh.load_model(done.output_dir)
    images = case["test/images"]
    assert torch.equal(fresh.model_inference(images), done.model_inference(images))
    other = build(case, trainer, done.output_dir, **{"TEST.CLASSES": "unseen"})
    other.load_model(done.output_dir)
    close(
        other.model_inference(images),
        case["tip/test_clip_logits"],
        case.limit(LOGITS, "tip/test_clip_logits"),
        "other classes",
    )


class Forbidden:
    def __len__(self):
        return 1

    def __iter__(self):
        raise AssertionError("the test set was looked at before the final test")


def test_by_default_nothing_is_chosen_on_the_test_set(case, tmp_path):
    trainer = build(case, "TipAdapterF", tmp_path, select_on="val", **{"TEST.NO_TEST": True})
    trainer.test_loader = Forbidden()
    trainer.train()
    results = []
    trainer.method.beta_alpha.copy_(torch.tensor([float(case.about["config"][f"init_{k}"]) for k in ("beta", "alpha")]))
    for _, keys in trainer.epochs:
        trainer.method.keys.data = keys
        logits = trainer.model_inference(case["val/images"])
        results.append((logits.argmax(1) == case["val/labels"]).float().mean().item())
    assert trainer.best["epoch"] == int(np.argmax(results))


def test_without_validation_images_nothing_is_chosen(case, tmp_path, capsys):
    trainer = build(case, "TipAdapterF", tmp_path, "val", validation=False, **{"TEST.NO_TEST": True})
    trainer.test_loader = Forbidden()
    trainer.train()
    assert trainer.best["epoch"] == case.about["config"]["train_epoch"] - 1
    assert torch.equal(trainer.method.keys.detach(), trainer.epochs[-1][1])
    assert trainer.method.beta_alpha.tolist() == [case.about["config"][f"init_{k}"] for k in ("beta", "alpha")]
    assert "no validation images" in capsys.readouterr().out


def test_an_interrupted_run_keeps_the_best_epoch(case, tip_f, tmp_path):
    first = build(case, "TipAdapterF", tmp_path, **{"TRAIN.CHECKPOINT_FREQ": 1, "TEST.NO_TEST": True})
    first.before_train()
    first.epoch = 0
    first.run_epoch()
    first.after_epoch()
    second = build(case, "TipAdapterF", tmp_path, **{"TEST.NO_TEST": True})
    second.train_loader_x.first = len(second.train_loader_x)
    second.train()
    assert second.start_epoch == 1 and second.best["epoch"] == tip_f.best["epoch"]
    assert torch.allclose(second.epochs[-1][1], tip_f.epochs[-1][1], atol=1e-6)
    assert torch.allclose(second.method.keys, tip_f.method.keys, atol=1e-6)


def test_mistakes_are_named(case, tmp_path):
    with pytest.raises(ValueError, match=r"TIPADAPTERF\.SELECT_ON.*'train'.*one of val, test"):
        build(case, "TipAdapterF", tmp_path, select_on="train")
    with pytest.raises(ValueError, match="FINAL_MODEL"):
        build(case, "TipAdapterF", tmp_path, **{"TEST.FINAL_MODEL": "best_val"})
