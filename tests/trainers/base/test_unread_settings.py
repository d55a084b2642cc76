"""A setting that is said to change nothing changes nothing, and others are not said to."""

import pytest
import torch
from yacs.config import CfgNode

from dassl.engine import TRAINER_REGISTRY

CLASSES, WORDS = ("cat", "a_long name", "ox"), "some other words here"
WITHOUT_EFFECT = [
    ("TwoStage", {"PEFT": "ln"}, {"DROPOUT": 0.9}),
    ("TwoStage", {"PEFT": "bitfit"}, {"DROPOUT": 0.9}),
    ("IVLP", {"N_CTX_TEXT": 5}, {"CTX_INIT": WORDS}),
    ("IVLP", {"PROMPT_DEPTH_TEXT": 0}, {"N_CTX_TEXT": 7}),
    ("IVLP", {"PROMPT_DEPTH_VISION": 0}, {"N_CTX_VISION": 7}),
    ("PromptSRC", {"N_CTX_TEXT": 5}, {"CTX_INIT": WORDS}),
    ("MaPLe", {"N_CTX": 5}, {"CTX_INIT": WORDS}),
    ("CoPrompt", {"N_CTX": 5}, {"CTX_INIT": WORDS}),
    ("HiCroPL", {"N_CTX": 5}, {"CTX_INIT": WORDS}),
    ("TCP", {"N_CTX": 5}, {"CTX_INIT": WORDS}),
    ("CoOp", {"CTX_INIT": "a_photo_of_a"}, {"N_CTX": 7}),
    ("CoOp", {"CTX_INIT": "a_photo_of_a"}, {"CSC": True}),
    ("CoCoOp", {"CTX_INIT": "a_photo_of_a"}, {"N_CTX": 7}),
    ("ProGrad", {"CTX_INIT": "a_photo_of_a", "N_CTX": 4}, {"N_CTX": 3}),
    ("DePTMaPLe", {"N_CTX": 5}, {"CTX_INIT": WORDS}),
]
WITH_EFFECT = [
    ("TwoStage", {"PEFT": "lora"}, {"DROPOUT": 0.9}),
    ("IVLP", {"N_CTX_TEXT": 4}, {"CTX_INIT": WORDS}),
    ("IVLP", {"PROMPT_DEPTH_TEXT": 0, "N_CTX_TEXT": 5}, {"CTX_INIT": WORDS}),
    ("MaPLe", {"N_CTX": 4}, {"CTX_INIT": WORDS}),
    ("ProGrad", {"CTX_INIT": "a_photo_of_a"}, {"N_CTX": 7}),
    ("CoOp", {}, {"N_CTX": 7}),
]
"""Method, settings, another value of one more setting."""


def unread(method: str, settings: dict) -> set[str]:
    trainer = TRAINER_REGISTRY.get(method)
    return {*trainer.method_class.unread(CfgNode(trainer.defaults | settings))}


def learned(workshop, method: str, settings: dict) -> dict[str, torch.Tensor]:
    """Return what a step makes of the start values."""
    trainer = workshop.build(method, "small", CLASSES, **settings)
    trainer.set_model_mode("train")
    torch.manual_seed(0)
    trainer.forward_backward(workshop.batch("small", 3, len(CLASSES)))
    with trainer.fixed_classes():
        scores = trainer.model_inference(workshop.batch("small", 3, len(CLASSES))["img"])
    return {"scores": scores, **{name: p.detach().clone() for name, p in trainer.method.named_parameters()}}


def both(workshop, method: str, settings: dict, other: dict) -> list[dict[str, torch.Tensor]]:
    """Return what is learned from the same start values without and with the other value."""
    found = []
    for given in (settings, settings | other):
        torch.manual_seed(0)
        found.append(learned(workshop, method, given))
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(("method", "settings", "other"), WITHOUT_EFFECT)
def test_without_effect(workshop, method, settings, other):
    assert other.keys() <= unread(method, settings | other)
    assert same(*both(workshop, method, settings, other))


@pytest.mark.parametrize(("method", "settings", "other"), WITH_EFFECT)
def test_with_effect(workshop, method, settings, other):
    assert not other.keys() & unread(method, settings | other)
    assert not same(*both(workshop, method, settings, other))
