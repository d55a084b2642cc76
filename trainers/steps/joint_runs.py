"""Steps of several runs in one pass through the frozen encoders, each with its own images and learned parameters.

The runs' parameters are stacked and the method's own loss is mapped over the stack (`torch.func.vmap`): a layer
with frozen weights then sees one batch with the samples of all runs, a learned one sees each run's own. What a
run gets is what it would compute alone, to rounding.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

from trainers.base.method import Losses, Method, Term
from trainers.steps.cuda_graph import Compute, CudaRecording, GraphedLosses, Recording
from trainers.steps.lockstep import wait
from trainers.steps.plain import Learner, PlainStep


class LossRequest(NamedTuple):
    """A run waits for the losses of a batch."""

    trainer: Learner
    images: Tensor
    labels: Tensor


class BackwardRequest(NamedTuple):
    """A run waits for its parameters' gradients."""

    trainer: Learner
    losses: Losses


class WaitingStep:
    """Steps of one of several runs: each waits until all runs have asked.

    A method that draws random numbers computes its losses by itself: only then they come from the run's own generators.
    """

    def losses(self, trainer: Learner, images: Tensor, labels: Tensor) -> Losses:
        if trainer.method.draws:
            return PlainStep().losses(trainer, images, labels)
        return wait(LossRequest(trainer, images, labels))

    def backward(self, trainer: Learner, losses: Losses) -> None:
        wait(BackwardRequest(trainer, losses))


class JointPass:
    """Computes losses and gradients together for runs that wait for them (`in_lockstep`).

    Args:
        record: what makes a recording of a step on a GPU, where each group of runs is recorded as one graph.
    """

    def __init__(self, record: Callable[[Compute], Recording] = CudaRecording):
        self.record = record
        self.groups: dict[tuple[int, ...], JointRuns] = {}  # by the runs' numbers

    def __call__(self, requests: Sequence[LossRequest | BackwardRequest]) -> dict[int, Losses | None]:
        """Return answers to some of the waiting runs, by place in `requests`; the others wait for another round.

        Gradients come first: a run that skipped a step is one ahead, and the others catch up.
        """
        backward = {i: request for i, request in enumerate(requests) if isinstance(request, BackwardRequest)}
        if backward:
            groups = list(self.groups.values())
            plain = [r for r in backward.values() if not any(group.set_gradients(r.losses) for group in groups)]
            set_gradients([request.trainer for request in plain], [request.losses for request in plain])
            return dict.fromkeys(backward)
        alike_ones: dict[Hashable, list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            alike_ones[alike(request)].append(i)
        answers = {}
        for places in alike_ones.values():
            answers.update(zip(places, self._losses([requests[i] for i in places]), strict=True))
        return answers

    def _losses(self, requests: Sequence[LossRequest]) -> list[Losses]:
        trainers = [request.trainer for request in requests]
        key = tuple(map(id, trainers))
        if key not in self.groups:  # at first, and where a run has ended before others
            apart = {other: group for other, group in self.groups.items() if not set(other) & set(key)}
            self.groups = apart | {key: JointRuns(trainers, self.record)}
        images, labels = (torch.stack(of_all) for of_all in list(zip(*requests, strict=True))[1:])
        return self.groups[key].losses(images, labels)


def alike(request: LossRequest) -> Hashable:
    """Requests with equal keys are computed together: the same computation on numbers of the same shapes.

    A method that stores training images' features, or combines gradients itself, is computed alone.
    """
    trainer, method = request.trainer, request.trainer.method
    if next(method.buffers(), None) is not None or type(method).backward is not Method.backward:
        return id(trainer)
    shapes = tuple((name, tuple(p.shape)) for name, p in method.named_parameters())
    fixed = tuple((key, str(value)) for key, value in method.settings.items() if type(value) is not float)
    precision = trainer.precision.name
    return type(method), method.task, id(method.clip.model), precision, shapes, fixed, tuple(request.images.shape)


class JointRuns:
    """Runs that are `alike`: their losses in one pass, on a GPU from one graph.

    Args:
        trainers: the runs' trainers; kept referenced, so that no other trainer gets the `id` of one of them.
        record: what makes the graph.
    """

    def __init__(self, trainers: Sequence[Learner], record: Callable[[Compute], Recording]):
        self.trainers, first = trainers, trainers[0]
        settings = [trainer.method.settings for trainer in trainers]
        self.floats = {
            key: torch.tensor([of_run[key] for of_run in settings], device=first.device)
            for key, value in settings[0].items()
            if type(value) is float and any(of_run[key] != value for of_run in settings)
        }
        self.graphed = None
        if first.graphs:
            self.graphed = GraphedLosses(trainers, self.plain_losses, partial(set_gradients, trainers), record)

    def losses(self, images: Tensor, labels: Tensor) -> list[Losses]:
        """Return the losses of each run, from the images (R, B, 3, S, S) and labels (R, B) of all."""
        found = self.graphed(images, labels) if self.graphed else None
        return self.plain_losses(images, labels) if found is None else found

    def set_gradients(self, losses: Losses) -> bool:
        """Set the gradients that the graph gave with these losses; False: they are not from it."""
        return self.graphed is not None and self.graphed.set_gradients(losses)

    def plain_losses(self, images: Tensor, labels: Tensor) -> list[Losses]:
        """Return each run's losses, computed without a CUDA graph."""
        methods, precision = [trainer.method for trainer in self.trainers], self.trainers[0].precision
        if len(methods) == 1:
            with precision.context():
                return [methods[0].losses(images[0], labels[0])]
        named = [dict(method.named_parameters()) for method in methods]
        parameters = {f"method.{name}": torch.stack([of_run[name] for of_run in named]) for name in named[0]}
        one = LossesOf(methods[0])
        with precision.context(), AttentionInOneBatch(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")  # PromptSRC's kl_div, run by run
            values, weights, logits = vmap(lambda *of_run: functional_call(one, of_run[0], of_run[1:]))(
                parameters, self.floats, images, labels
            )
        return [
            Losses({name: Term(value[i], weights[name][i]) for name, value in values.items()}, logits[i])
            for i in range(len(methods))
        ]


class AttentionInOneBatch(TorchFunctionMode):
    """Attention mapped over runs as that of one batch with the sequences of all.

    torch's own mapping computes run by run on a CPU, and on a GPU without what the backward pass needs.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        plain = _without_mask(*args, **(kwargs or {})) if function is F.scaled_dot_product_attention else None
        return function(*args, **(kwargs or {})) if plain is None else _Attention.apply(*plain)


def _without_mask(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0, is_causal: bool = False, **more
) -> tuple[Tensor, Tensor, Tensor, bool] | None:
    """Return what `_Attention` takes; None of an attention with a mask, dropout or anything else."""
    return (q, k, v, is_causal) if mask is None and not dropout and not any(more.values()) else None


class _Attention(torch.autograd.Function):
    """`scaled_dot_product_attention` with a mapping; what is not mapped learns nothing and needs no backward pass."""

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def vmap(info, in_dims, q: Tensor, k: Tensor, v: Tensor, causal: bool) -> tuple[Tensor, int]:
        of_all = [
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip((q, k, v), in_dims, strict=False)
        ]
        mixed = F.scaled_dot_product_attention(*(x.flatten(0, 1) for x in of_all), is_causal=causal)
        return mixed.unflatten(0, (info.batch_size, -1)), 0


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
        weights = {name: as_tensor_on(images.device, term.weight) for name, term in losses.terms.items()}
        return values, weights, losses.logits


class Values(dict):
    """Settings to read, by attribute or by key; unlike a yacs node it may hold tensors."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return self[name]


@contextmanager
def changed(method: Method, settings: dict[str, Any]) -> Iterator[None]:
    """The method under other values of some settings: `vmap` gives each run's values as tensors of one call."""
    own = method.settings
    method.settings = Values({**own, **settings})
    try:
        yield
    finally:
        method.settings = own


def as_tensor_on(device: torch.device, weight: float | Tensor) -> Tensor:
    """A scalar tensor, without a copy from the CPU, which no graph can hold."""
    return weight if isinstance(weight, Tensor) else torch.full((), weight, device=device)


def set_gradients(trainers: Sequence[Learner], losses: Sequence[Losses]) -> None:
    """Gradients of all runs by one backward pass, each scaled as its run's precision asks for."""
    scaled: list[Tensor] = []
    for trainer, of_run in zip(trainers, losses, strict=True):
        if type(trainer.method).backward is Method.backward:
            scaled.append(trainer.scaler.scale(trainer.method.objective(of_run)))
        else:
            trainer.method.backward(of_run, trainer.scaler.scale)
    if scaled:
        torch.autograd.backward(scaled)
