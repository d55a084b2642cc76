"""ProLIP's search of rate and weight against a training of each pair by itself."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from golden_features import build

import trainers.prolip
from golden_cases import Case, cases
from trainers.base.method import accuracy

RATES, WEIGHTS = (1e-2, 1e-4), (1.0, 0.0)


def trained(case, folder, **options):
    trainer = build(case, folder, **options)
    trainer.val_loader = [{"img": case["test/images"], "label": torch.arange(len(case["test/images"])) % 3}]
    trainer.train()
    return trainer


@pytest.mark.parametrize("name", cases({"ProLIP"}))
def test_the_pair_that_is_best_when_trained_alone(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainers.prolip, "RATES", RATES)
    monkeypatch.setattr(trainers.prolip, "WEIGHTS", WEIGHTS)
    case, pairs, results, ends = Case(name), list(product(RATES, WEIGHTS)), [], []
    for rate, weight in pairs:
        folder = tmp_path / f"{rate} {weight}"
        alone = trained(case, folder, **{"OPTIM.LR": rate, "TRAINER.PROLIP.LAMBDA": weight})
        rows, labels = alone.encoded(alone.val_loader)
        results.append(accuracy(alone.model_inference(rows), labels).item())
        ends.append(alone.method.projection.detach().clone())
    best = results.index(max(results))
    searched = trained(case, tmp_path / "searched", **{"TRAINER.PROLIP.SEARCH": True})
    assert "Chosen: OPTIM.LR {:g}, LAMBDA {:g}".format(*pairs[best]) in capsys.readouterr().out
    assert searched.method.weight == pairs[best][1] and searched.steps[0]["lr"] == pytest.approx(pairs[best][0])
    torch.testing.assert_close(searched.method.projection.detach(), ends[best], rtol=0, atol=1e-7)
    assert not torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("name", cases({"ProLIP"}))
def test_without_validation_images_the_given_values_stay(name, tmp_path, capsys):
    case = Case(name)
    trainer = build(case, tmp_path, **{"TRAINER.PROLIP.SEARCH": True})
    trainer.train()
    assert trainer.steps[0]["lr"] == pytest.approx(case.about["config"]["lr_v"])
    assert "no validation images" in capsys.readouterr().out
