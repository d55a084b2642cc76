"""Steps of several runs in one pass through the frozen towers, each with its own pictures and learned parameters.

The runs' parameters are stacked and the method's own loss is mapped over the stack (`torch.func.vmap`): a layer
with frozen weights then sees one batch with the samples of all runs, a learned one sees each run's own. What a
run gets is what it would compute alone, to rounding.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from dassl.engine.lockstep import wait
from trainers._clip_trainer import ClipTrainer
from trainers._method import Losses, Method, Term


class LossRequest(NamedTuple):
    """A run waits for the losses of a batch."""

    trainer: ClipTrainer
    images: Tensor
    labels: Tensor


class BackwardRequest(NamedTuple):
    """A run waits for its parameters' gradients."""

    trainer: ClipTrainer
    losses: Losses


class WaitingStep:
    """The steps of a run that is one of several: it waits until all have asked."""

    def losses(self, trainer: ClipTrainer, images: Tensor, labels: Tensor) -> Losses:
        return wait(LossRequest(trainer, images, labels))

    def backward(self, trainer: ClipTrainer, losses: Losses) -> None:
        wait(BackwardRequest(trainer, losses))


def answer(requests: Sequence[LossRequest | BackwardRequest]) -> dict[int, Losses | None]:
    """What some of the waiting runs asked for, by place in `requests`; the others wait for another round.

    Gradients first: a run whose step was left out may be a step ahead, and is caught up with.
    """
    backward = {i: request for i, request in enumerate(requests) if isinstance(request, BackwardRequest)}
    if backward:
        set_gradients(list(backward.values()))
        return dict.fromkeys(backward)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i, request in enumerate(requests):
        groups[alike(request)].append(i)
    answers = {}
    for places in groups.values():
        answers.update(zip(places, joint_losses([requests[i] for i in places]), strict=True))
    return answers


def alike(request: LossRequest) -> Hashable:
    """Requests with equal keys are computed together: the same computation on numbers of the same shapes.

    A method that keeps something of its training pictures, or combines gradients itself, is computed alone.
    """
    trainer, method = request.trainer, request.trainer.method
    if next(method.buffers(), None) is not None or type(method).backward is not Method.backward:
        return id(trainer)
    shapes = tuple((name, tuple(p.shape)) for name, p in method.named_parameters())
    fixed = tuple((key, str(value)) for key, value in method.settings.items() if type(value) is not float)
    precision = trainer.precision.name
    return type(method), method.task, id(method.clip.model), precision, shapes, fixed, tuple(request.images.shape)


def joint_losses(requests: Sequence[LossRequest]) -> list[Losses]:
    """The losses of runs that are `alike`, in one pass."""
    first, *others = (request.trainer for request in requests)
    if not others:
        with first.precision.context():
            return [first.method.losses(requests[0].images, requests[0].labels)]
    methods = [request.trainer.method for request in requests]
    named = [dict(method.named_parameters()) for method in methods]
    parameters = {f"method.{name}": torch.stack([of_run[name] for of_run in named]) for name in named[0]}
    floats = {
        key: torch.tensor([method.settings[key] for method in methods], device=first.device)
        for key, value in methods[0].settings.items()
        if type(value) is float and any(method.settings[key] != value for method in methods)
    }
    images = torch.stack([request.images for request in requests])
    labels = torch.stack([request.labels for request in requests])
    one = LossesOf(methods[0])
    with first.precision.context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")  # attention on a CPU, run by run
        values, weights, logits = vmap(lambda *of_run: functional_call(one, of_run[0], of_run[1:]))(
            parameters, floats, images, labels
        )
    return [
        Losses({name: Term(value[i], weights[name][i]) for name, value in values.items()}, logits[i])
        for i in range(len(requests))
    ]


class LossesOf(nn.Module):
    """A method's losses as a module's call, which is what torch puts other parameters into."""

    def __init__(self, method: Method):
        super().__init__()
        self.method = method

    def forward(
        self, floats: dict[str, Tensor], images: Tensor, labels: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Values and weights of the terms by name, and the logits; `floats` takes the place of those settings."""
        with changed(self.method, floats):
            losses = self.method.losses(images, labels)
        values = {name: term.value for name, term in losses.terms.items()}
        weights = {name: torch.as_tensor(term.weight, device=images.device) for name, term in losses.terms.items()}
        return values, weights, losses.logits


@contextmanager
def changed(method: Method, settings: dict[str, Any]) -> Iterator[None]:
    """The method under other values of some settings."""
    own = method.settings
    method.settings = own.clone()
    dict.update(method.settings, settings)  # the node itself takes no tensors
    try:
        yield
    finally:
        method.settings = own


def set_gradients(requests: Sequence[BackwardRequest]) -> None:
    """Gradients of all runs by one backward pass, each scaled as its run's precision asks for."""
    plain = [r for r in requests if type(r.trainer.method).backward is Method.backward]
    for request in requests:
        if request not in plain:
            request.trainer.method.backward(request.losses, request.trainer.scaler.scale)
    scaled: list[Tensor] = [r.trainer.scaler.scale(r.trainer.method.objective(r.losses)) for r in plain]
    if scaled:
        torch.autograd.backward(scaled)
