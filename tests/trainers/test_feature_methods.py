"""Methods on cached features: interrupted runs end as uninterrupted ones; GDA-CLIP's mixed class lists."""

from __future__ import annotations

import pytest
import torch
from golden_features import build

from golden_cases import Case, cases
from trainers.base.method import over_trained
from trainers.gda_clip import LOGIT_SCALE, of_others, of_trained

STOP = 3
"""Epochs before the interruption."""


@pytest.mark.parametrize("name", cases({"CLAP", "LPpp", "ProLIP"}))
def test_an_interrupted_run_ends_as_an_uninterrupted_one(name, tmp_path):
    case, frequent = Case(name), {"TRAIN.CHECKPOINT_FREQ": 1}
    whole = build(case, tmp_path / "whole")
    state = {key: value.clone() for key, value in whole.method.state_dict().items()}
    whole.train()
    first = build(case, tmp_path / "parts", **frequent)
    first.method.load_state_dict(state)
    first.before_train()
    for first.epoch in range(STOP):
        first.run_epoch()
        first.after_epoch()
    second = build(case, tmp_path / "parts", **frequent)
    second.train()
    assert second.start_epoch == STOP
    for key, value in whole.method.state_dict().items():
        assert torch.equal(second.method.state_dict()[key], value), key


@pytest.mark.parametrize("name", cases({"GDACLIP"}))
def test_trained_and_other_classes_together(name, tmp_path):
    """Trained classes get the logits that they get alone; others those of a list of their own."""
    case = Case(name)
    if not case.about["novel_classnames"]:
        pytest.skip("the case has no other classes")
    trainer, images = build(case, tmp_path), case["test/images"]
    trainer.train()
    case.about["both"] = [*case.about["classnames"], *case.about["novel_classnames"]]
    mixed = build(case, tmp_path, names="both").method
    mixed.load_state_dict(trainer.method.state_dict())
    other = build(case, tmp_path, "unseen", "novel_classnames").method
    other.load_state_dict(trainer.method.state_dict())
    count = len(case.about["classnames"])
    seen = torch.arange(len(case.about["both"])) < count
    found = mixed.logits(images, mixed.class_features(), seen)
    alone = trainer.method.logits(images, trainer.method.class_features(), torch.tensor(True))
    torch.testing.assert_close(found[:, :count], alone, rtol=1e-4, atol=1e-2)
    expected = other.logits(images, other.class_features(), torch.tensor(False))
    torch.testing.assert_close(found[:, count:], expected, rtol=1e-4, atol=1e-2)
    more = mixed.logits(images, mixed.class_features(), torch.tensor(False))  # all of them others, more than trained
    added = more - LOGIT_SCALE * mixed.unit_features(images) @ mixed.t.t()
    gaussians, _, _ = of_others(mixed.f, mixed.t)
    torch.testing.assert_close(
        added, mixed.alpha.float() * gaussians(mixed.unit_features(images)), rtol=1e-3, atol=1e-2
    )


@pytest.mark.parametrize("name", cases({"GDACLIP"}))
def test_a_class_that_lost_its_images(name, tmp_path):
    """To wrong labels, for example: it gets Gaussians around its text, and the others are as without it."""
    case = Case(name)
    trainer = build(case, tmp_path)
    trainer.train()
    method, images, lost = trainer.method, case["test/images"], 1
    kept = method.labels != lost
    method.fill(method.f[kept], method.labels[kept])
    gaussians, alone = method.gaussians(), of_others(method.f, method.t[[lost]])[0]
    assert torch.equal(gaussians.weight[:, [lost]], alone.weight) and torch.equal(gaussians.bias[[lost]], alone.bias)
    others = torch.arange(len(method.t)) != lost
    assert torch.equal(gaussians.weight[:, others], method.trained.weight)
    assert method.logits(images, method.class_features(), torch.tensor(True)).isfinite().all()


def test_rows_of_trained_classes_over_those_of_all():
    trained, others = torch.ones(3, 2), torch.zeros(5, 2)
    assert over_trained(trained, others)[:, 0].tolist() == [1, 1, 1, 0, 0]
    assert over_trained(trained, others[:2])[:, 0].tolist() == [1, 1]


@pytest.mark.parametrize("pooled", [True, False])
def test_one_feature_of_each_class_has_no_covariance(pooled):
    """One shot and one view: the Gaussians add nothing to zero-shot CLIP that depends on the image."""
    weight, bias = of_trained(torch.eye(3), torch.arange(3), 3, pooled)
    assert not weight.any() and torch.allclose(bias, -torch.tensor(3.0).log().expand(3))
