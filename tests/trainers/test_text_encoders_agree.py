"""Every registered method learns the same with the prefix-sharing text encoder as with the plain one, in float64."""

from __future__ import annotations

import pytest
import torch

import trainers  # noqa: F401  (registers the methods)
from clip.prefix_text import PrefixTextEncoder
from clip.reference import FullTextEncoder
from dassl.engine import TRAINER_REGISTRY
from trainers.base.precision import Precision
from trainers.base.trainer import ClipTrainer

CLIP = "twelve layers"
CLASSES = ("cat", "a_long name of an animal", "ox", "big dog", "ox cart")
OURS = [name for name in TRAINER_REGISTRY.registered_names() if issubclass(TRAINER_REGISTRY.get(name), ClipTrainer)]
ENCODER = "trainers.base.frozen_clip.PrefixTextEncoder"
LENGTHS = {"N_CTX", "N_CTX_TEXT"}  # names of the same thing
VARIANTS = {
    "as it is": {},
    "random context": {"CTX_INIT": ""},
    "few of the words": {"CTX_INIT": "a photo of a"} | dict.fromkeys(LENGTHS, 2),
    "context of each class": {"CTX_INIT": "", "CSC": True},
    "name in the middle": {"CTX_INIT": "", "CLASS_TOKEN_POSITION": "middle"},
    "name in front": {"CTX_INIT": "", "CLASS_TOKEN_POSITION": "front"},
    "name in front, context of each class": {"CTX_INIT": "", "CLASS_TOKEN_POSITION": "front", "CSC": True},
}
CASES = [
    pytest.param(name, settings, id=f"{name}, {variant}")
    for name in OURS
    for variant, settings in VARIANTS.items()
    if settings.keys() - LENGTHS <= TRAINER_REGISTRY.get(name).defaults.keys()
]


class Counting(FullTextEncoder):
    """The plain encoder; counts its passes."""

    passes = 0

    def encode(self, *args, **kwargs):
        Counting.passes += 1
        return super().encode(*args, **kwargs)


@pytest.fixture(scope="module")
def method(request, workshop) -> str:
    """A method that runs the text encoder in its training steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ENCODER, Counting)
        trainer = workshop.build(request.param, CLIP, CLASSES)
    if not trainer.learns:
        pytest.skip("takes no gradient steps")
    batch, before = workshop.batch(CLIP, 3, len(CLASSES)), Counting.passes
    trainer.method.losses(batch["img"], batch["label"])
    if Counting.passes == before:
        pytest.skip("does not use the text encoder while training")
    return request.param


def learned(trainer, batch) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Loss terms and logits of a batch, and the gradients a step would take."""
    trainer.set_model_mode("train")
    torch.manual_seed(0)  # what a method draws in a step, such as CoPrompt's texts
    losses = trainer.method.losses(batch["img"].double(), batch["label"])
    trainer.method.backward(losses)
    values = {name: term.value.detach() for name, term in losses.terms.items()}
    return values | {"logits": losses.logits.detach()}, {n: p.grad for n, p in trainer.method.named_parameters()}


@pytest.mark.parametrize(("method", "settings"), CASES, indirect=["method"])
def test_same_losses_and_gradients(workshop, monkeypatch, method, settings):
    monkeypatch.setattr(Precision, "hold", lambda self, clip: clip.double())
    fast = workshop.build(method, CLIP, CLASSES, **settings)
    monkeypatch.setattr(ENCODER, FullTextEncoder)
    plain = workshop.build(method, CLIP, CLASSES, **settings)
    assert isinstance(fast.method.clip.text, PrefixTextEncoder)
    assert isinstance(plain.method.clip.text, FullTextEncoder)
    for own, other in zip(fast.method.double().parameters(), plain.method.double().parameters(), strict=True):
        own.data += 0.03 * torch.randn_like(own)  # where ProGrad starts, its teacher's gradient is rounding alone
        other.data.copy_(own)
    batch = workshop.batch(CLIP, 3, len(CLASSES))
    wanted, gradients = learned(plain, batch)
    got, own_gradients = learned(fast, batch)
    for name, value in wanted.items():
        assert value.dtype == torch.double
        assert (value - got[name]).abs().max() < 1e-9, name
    assert {n for n, g in gradients.items() if g is None} == {n for n, g in own_gradients.items() if g is None}
    for name, value in gradients.items():
        if value is None:  # a part that learns at another stage
            continue
        assert (value - own_gradients[name]).abs().max() <= 1e-8 * value.abs().max(), name
