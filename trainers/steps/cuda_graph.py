"""Steps and predictions on a GPU as CUDA graphs: recorded once for each shape of batch, then replayed in one launch.

A training step on few images consists of thousands of short kernels, and launching them takes longer than running them.
Recording needs all values on the GPU and the same kernels each time. A computation that does not allow it, or whose
first replays differ from the plain computation, is computed plainly, with a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from dassl.utils.phases import phase
from trainers.base.method import Losses, Term
from trainers.steps.plain import Learner, PlainStep

SEEN_BEFORE = 2
"""Batches of a shape that are computed plainly before it is recorded: a shape that occurs once is not worth it."""
COMPARED = 2
"""Replays that are compared with the plain computation; not of the batch that was recorded."""
TOLERANCE = 1e-2
"""Largest norm of a difference relative to the plain result: half precision sums in any order, and what
cannot be repeated is off by more."""

Compute = Callable[[], Sequence[Tensor]]


class Recording(Protocol):
    """A recorded computation, to be repeated on the present content of its inputs."""

    outputs: Sequence[Tensor]

    def replay(self) -> None:
        """Compute `outputs` anew, in place."""


class CudaRecording:
    """A CUDA graph of a computation.

    Args:
        compute: reads tensors at fixed addresses and returns its outputs.

    Raises:
        RuntimeError: it does something that cannot be recorded, such as waiting for a number.
    """

    WARM_UP = 3
    """Runs before the recording, in which libraries choose kernels and allocate what they keep."""

    def __init__(self, compute: Compute):
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(self.WARM_UP):
                compute()
        here.wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        # Other threads, which pin memory for the data loader, may go on calling CUDA meanwhile.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.outputs = compute()

    def replay(self) -> None:
        self.graph.replay()


class Replayed:
    """One computation for inputs of one shape, replayed; compared with the plain one at first.

    Args:
        compute: inputs -> outputs.
        record: what makes a `Recording` of a computation.
        inputs: of the shape to record for.
    """

    def __init__(
        self,
        compute: Callable[..., Sequence[Tensor]],
        record: Callable[[Compute], Recording],
        inputs: Sequence[Tensor],
    ):
        self.compute, self.inputs, self.compared = compute, [x.clone() for x in inputs], 0
        devices = {x.device for x in inputs if x.device.type == "cuda"}
        with torch.random.fork_rng(devices=list(devices)):  # the runs that only prepare draw nothing from the run's
            self.recording = record(lambda: compute(*self.inputs))

    def __call__(self, *inputs: Tensor) -> Sequence[Tensor]:
        """The outputs, which hold until the next call.

        Raises:
            RuntimeError: a replay differs from the plain computation.
        """
        expected = None
        if self.compared < COMPARED:
            self.compared += 1
            expected = [x.detach().clone() for x in self.compute(*inputs)]
        for held, given in zip(self.inputs, inputs, strict=True):
            held.copy_(given)
        self.recording.replay()
        if expected is not None:
            check_agreement(self.recording.outputs, expected)
        return self.recording.outputs


def check_agreement(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Raises:
    RuntimeError: a tensor is further from the expected one than sums in another order explain.
    """
    for i, (own, plain) in enumerate(zip(found, expected, strict=True)):
        if torch.equal(own, plain) or not torch.isfinite(plain).all():
            continue
        off, size = torch.linalg.vector_norm(own.float() - plain.float()), torch.linalg.vector_norm(plain.float())
        if not off <= TOLERANCE * size + 1e-6:
            raise RuntimeError(f"tensor {i} is off by {off:.2e} of {size:.2e}")


class Graphs:
    """Replays by shape of the inputs, for as long as recording works.

    Args:
        what: for the message where it does not.
        compute, record: as for `Replayed`.
    """

    def __init__(
        self,
        what: str,
        compute: Callable[..., Sequence[Tensor]],
        record: Callable[[Compute], Recording] = CudaRecording,
    ):
        self.what, self.compute, self.record = what, compute, record
        self.seen: dict[Any, int] = {}
        self.replayed: dict[Any, Replayed] = {}
        self.usable = True

    def __call__(self, *inputs: Tensor) -> Sequence[Tensor] | None:
        """The outputs from a graph; None: compute them plainly."""
        if not self.usable:
            return None
        key = tuple((x.shape, x.dtype) for x in inputs)
        if self.seen.setdefault(key, 0) < SEEN_BEFORE:
            self.seen[key] += 1
            return None
        try:
            if key not in self.replayed:
                with phase("graph recording"):
                    self.replayed[key] = Replayed(self.compute, self.record, inputs)
            return self.replayed[key](*inputs)
        except RuntimeError as error:
            self.usable, self.replayed = False, {}
            reason = str(error).splitlines()[0]
            warnings.warn(
                f"No CUDA graph is used for {self.what}: {reason}. Its results do not change, but it is slower. "
                f"TRAIN.CUDA_GRAPHS False leaves out the attempt.",
                stacklevel=2,
            )
            return None


class GraphedLosses:
    """Losses of one or several runs, with the gradients of their parameters, from one graph.

    Args:
        trainers: the runs'.
        losses: images, labels -> the losses of each run, plainly.
        backward: sets the gradients of all runs from these, plainly.
        record: what makes a recording; a stand-in in tests.
    """

    class _Names(NamedTuple):
        terms: list[str]
        weights: list[float | Tensor]
        parameters: list[str]

        @property
        def count(self) -> int:
            """Tensors of a run: values, logits, gradients."""
            return len(self.terms) + 1 + len(self.parameters)

    def __init__(
        self,
        trainers: Sequence[Learner],
        losses: Callable[[Tensor, Tensor], Sequence[Losses]],
        backward: Callable[[Sequence[Losses]], None],
        record: Callable[[Compute], Recording] = CudaRecording,
    ):
        self.trainers, self.plain_losses, self.plain_backward = trainers, losses, backward
        self.graphs = Graphs("the training step", self._losses_and_gradients, record)
        self.names: list[GraphedLosses._Names] = []
        self.newest: list[tuple[Losses, Sequence[Tensor]]] = []

    def __call__(self, images: Tensor, labels: Tensor) -> list[Losses] | None:
        """The losses of each run; None: compute them plainly."""
        outputs, self.newest = self.graphs(images, labels), []
        if outputs is None:
            return None
        for names in self.names:
            own, outputs = outputs[: names.count], outputs[names.count :]
            values, logits, gradients = own[: len(names.terms)], own[len(names.terms)], own[len(names.terms) + 1 :]
            terms = dict(zip(names.terms, map(Term, values, names.weights), strict=True))
            self.newest.append((Losses(terms, logits), gradients))
        return [losses for losses, _ in self.newest]

    def set_gradients(self, losses: Losses) -> bool:
        """Set the gradients of the run that these losses are of; False: they are not from the graph's newest replay."""
        for trainer, names, (own, gradients) in zip(self.trainers, self.names, self.newest, strict=False):
            if own is losses:
                parameters = dict(trainer.method.named_parameters())
                for name, gradient in zip(names.parameters, gradients, strict=True):
                    parameters[name].grad = gradient
                return True
        return False

    def _losses_and_gradients(self, images: Tensor, labels: Tensor) -> Sequence[Tensor]:
        """Values of the terms, logits, gradients of each run in turn; the parameters' own gradients are left empty."""
        self._leave_no_gradients()
        found = self.plain_losses(images, labels)
        self.plain_backward(found)
        outputs, self.names = [], []
        for trainer, losses in zip(self.trainers, found, strict=True):
            reached = {name: p.grad for name, p in trainer.method.named_parameters() if p.grad is not None}
            terms = losses.terms
            self.names.append(self._Names(list(terms), [term.weight for term in terms.values()], list(reached)))
            outputs += [*(term.value.detach() for term in terms.values()), losses.logits.detach(), *reached.values()]
        self._leave_no_gradients()
        return outputs

    def _leave_no_gradients(self) -> None:
        for trainer in self.trainers:
            trainer.method.zero_grad(set_to_none=True)


class GraphedStep:
    """The steps of a run by itself, from a graph.

    Args:
        trainer: the run's.
        record: what makes a recording; a stand-in in tests.
    """

    def __init__(self, trainer: Learner, record: Callable[[Compute], Recording] = CudaRecording):
        self.plain = PlainStep()
        self.graphed = GraphedLosses(
            [trainer],
            lambda images, labels: [self.plain.losses(trainer, images, labels)],
            lambda losses: self.plain.backward(trainer, losses[0]),
            record,
        )

    def losses(self, trainer: Learner, images: Tensor, labels: Tensor) -> Losses:
        found = self.graphed(images, labels)
        return self.plain.losses(trainer, images, labels) if found is None else found[0]

    def backward(self, trainer: Learner, losses: Losses) -> None:
        if not self.graphed.set_gradients(losses):
            self.plain.backward(trainer, losses)
