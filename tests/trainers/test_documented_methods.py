"""The short methods of docs/add-a-method.md: written to a file, each registers, trains and predicts."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from dassl.engine import TRAINER_REGISTRY

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-method.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Three short examples") : PAGE.index("## Going further")]
CODES = {re.match(r'"""(\w+):', code)[1]: code for code in re.findall(r"^```python\n(.*?)^```", SECTION, re.M | re.S)}
LEARNED = {"ScaledText": 96, "MMRLPlus": 2 * 512, "TunedBiases": 6 * 3 * 192}
"""Numbers of the workshop's ViT-B-16 that are learned; MMRLPlus: more than MMRL's."""


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Import an example as a file of its own; the registry forgets it afterwards."""
    monkeypatch.setattr(TRAINER_REGISTRY, "_objects", dict(TRAINER_REGISTRY._objects))

    def load(name: str):
        file = tmp_path / f"{name.lower()}.py"
        file.write_text(CODES[name], encoding="utf-8")
        spec = importlib.util.spec_from_file_location(f"documented_{name.lower()}", file)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        return TRAINER_REGISTRY.get(name)

    return load


def test_the_page_has_these_and_no_others():
    assert CODES.keys() == LEARNED.keys()


@pytest.mark.parametrize("name", LEARNED)
def test_it_trains_and_predicts(name, registered, workshop):
    registered(name)
    names = ["cat", "ox cart", "big dog"]
    trainer = workshop.build(name, "ViT-B-16", names)
    others = sum(p.numel() for p in workshop.build("MMRL", "ViT-B-16", names).method.parameters())
    count = sum(p.numel() for p in trainer.method.parameters())
    assert count - (others if name == "MMRLPlus" else 0) == LEARNED[name]
    batch = workshop.batch("ViT-B-16", 4, 3)
    before = {key: value.clone() for key, value in trainer.method.state_dict().items()}
    frozen = {key: value.clone() for key, value in trainer.method.clip.model.state_dict().items()}
    first = trainer.forward_backward(batch)
    for _ in range(5):
        last = trainer.forward_backward(batch)
    assert last["loss"] < first["loss"]
    after = trainer.method.state_dict()
    assert all(not torch.equal(before[key], after[key]) for key in before), "something learns nothing"
    assert all(torch.equal(value, frozen[key]) for key, value in trainer.method.clip.model.state_dict().items())
    assert trainer.model_inference(batch["img"]).shape == (4, 3)


def test_a_rule_for_new_classes_is_used(registered, workshop):
    registered("MMRLPlus")
    trainer = workshop.build("MMRLPlus", "ViT-B-16", ["cat", "big dog"])
    class_logits, rep_logits = torch.randn(2, 5, 2)
    found = trainer.method.predict(class_logits, rep_logits, torch.tensor([True, False]))
    alpha, weight = trainer.settings.ALPHA, 0.2
    torch.testing.assert_close(found[:, 0], (alpha * class_logits + (1 - alpha) * rep_logits)[:, 0])
    torch.testing.assert_close(found[:, 1], ((1 - weight) * class_logits + weight * rep_logits)[:, 1])


def test_the_rate_falls_behind_every_step(workshop):
    trainer = workshop.build("CLIPAdapter", "ViT-B-16", ["cat", "big dog"])
    rates = []
    for unit in ("epoch", "step"):
        trainer.cfg.defrost()
        trainer.cfg.OPTIM.SCHEDULE_UNIT, trainer.cfg.OPTIM.LR_SCHEDULER = unit, "cosine"
        trainer.train_loader_x = [None] * 2
        trainer.sched = trainer._scheds[trainer.checkpoint_folder] = trainer.build_schedule()
        trainer.forward_backward(workshop.batch("ViT-B-16", 2, 2))
        rates.append(trainer.get_current_lr())
    assert rates[0] == 0.01 > rates[1]
