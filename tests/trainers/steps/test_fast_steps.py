"""A step of every method: both fast encoders against both plain ones, on tasks of awkward shapes.

In float32 within the rounding of its sums; where gradients cancel, rounding is all that is left of them there, and
float64 tells.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

import trainers  # noqa: F401  (registers the methods)
from benchmarks._trainers import leave_start, make_plain
from clip.full_vision import FullVisionTransformer
from clip.reference import FullTextEncoder
from dassl.engine import TRAINER_REGISTRY
from trainers.base import build
from trainers.base.precision import Precision
from trainers.base.trainer import ClipTrainer

CLIP = "twelve layers"
FORTY = "very " * 38 + "long name"  # tokens, words and all


class Odd(NamedTuple):
    """A task of some shape."""

    names: list[str]
    template: str = "a photo of a {}."
    images: int = 2


SHAPES = {
    "one class": Odd(["cat"]),
    "names of 1 and of 40 tokens": Odd(["cat", FORTY, "ox"]),
    "identical classes": Odd(["ox cart"] * 3),
    "nothing in common": Odd(["cat", "ox cart", "big dog"], template="{} texture."),
    "one image": Odd(["cat", "ox cart", "big dog"], images=1),
}
KEEPING = ("TipAdapter", "TipAdapterF")
"""They learn on features of training images that they keep; here there are none."""
OURS = [
    name
    for name in TRAINER_REGISTRY.registered_names()
    if issubclass(TRAINER_REGISTRY.get(name), ClipTrainer) and name not in KEEPING
]


CANCELLING = ("one class", "identical classes")
"""The gradient of a cross-entropy is nothing there."""
CASES = [pytest.param(odd, True, id=f"{name}, float64") for name, odd in SHAPES.items()]
CASES += [pytest.param(odd, False, id=name) for name, odd in SHAPES.items() if name not in CANCELLING]
TOLERANCES = {True: (1e-10, 1e-9), False: (1e-5, 1e-4)}
"""Limit for outputs and gradients, relative to the largest element."""


def pair(workshop, method: str, odd: Odd, double: bool):
    """The trainer as it is, and one with the plain encoders, both a little away from the start values."""
    fast, plain = (workshop.build(method, CLIP, odd.names, DROPOUT=0.0) for _ in range(2))
    plain.method.load_state_dict(fast.method.state_dict())
    leave_start(fast), leave_start(plain)
    if double:
        fast.method.double(), plain.method.double()
    make_plain(plain)
    assert isinstance(plain.method.clip.text, FullTextEncoder)
    assert isinstance(plain.method.clip.visual, FullVisionTransformer)
    return fast, plain


def agree(own: torch.Tensor, plain: torch.Tensor, tolerance: float, what: str, size: float = 0.0) -> None:
    """Differences are measured by the largest element of `plain`, or by `size`, that of what it was computed from."""
    off, size = (own - plain).abs().max().item(), max(size, plain.abs().max().item())
    assert off <= tolerance * size + tolerance / 10, f"{what}: {off:.1e} of {size:.1e}"


def learned(trainer, images, labels) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Loss terms and logits, and the gradients of a step."""
    trainer.set_model_mode("train")
    torch.manual_seed(1)  # of what a method draws
    losses = trainer.losses(images, labels)
    trainer.method.backward(losses)
    values = {name: term.value.detach() for name, term in losses.terms.items()}
    gradients = {name: p.grad for name, p in trainer.method.named_parameters() if p.grad is not None}
    return values | {"logits": losses.logits.detach()}, gradients


@pytest.mark.parametrize(("odd", "double"), CASES)
@pytest.mark.parametrize("method", OURS)
def test_losses_gradients_and_predictions(workshop, monkeypatch, method, odd, double):
    if double and method == "LinearProbe":
        pytest.skip("looks at features in float32 whatever the encoder's type")
    monkeypatch.setattr(build, "dataset_template", lambda *names: odd.template)
    if double:
        monkeypatch.setattr(Precision, "hold", lambda self, clip: clip.double())
    fast, plain = pair(workshop, method, odd, double)
    batch = workshop.batch(CLIP, odd.images, len(odd.names))
    images, labels = batch["img"].double() if double else batch["img"], batch["label"]
    of_outputs, of_gradients = TOLERANCES[double]
    if fast.learns:
        (own, own_gradients), (values, gradients) = (learned(trainer, images, labels) for trainer in (fast, plain))
        largest = values["logits"].abs().max().item()
        for name, value in values.items():
            agree(own[name], value, of_outputs, name, largest)
        assert gradients and own_gradients.keys() == gradients.keys()
        for name, gradient in gradients.items():
            agree(own_gradients[name], gradient, of_gradients, name)
    with fast.fixed_classes(), plain.fixed_classes():
        agree(fast.model_inference(images), plain.model_inference(images), max(of_outputs, 1e-6), "prediction")
