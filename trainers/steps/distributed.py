"""Training steps of one run over several processes: each computes a part of the batch, and the parts are summed.

A loss is a mean over the batch's images, or does not depend on them. So with n of N images in a process, its loss
times n / N, summed over the processes, is the loss of the batch, and so for gradients; parts need not be equal. A
method that combines gradients of several losses sums each before (`reduce` of `Method.backward`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence

from torch import Tensor

from dassl.engine.distributed import (
    DistributedError,
    DistributedStop,
    agree_all,
    broadcast_models,
    broadcast_random_state,
    from_first,
    own_part,
    sum_over_processes,
    whole_batch,
)
from trainers.base.method import Losses, Term
from trainers.base.trainer import ClipTrainer
from trainers.steps.plain import Learner, PlainStep


class DistributedStep:
    """The steps of a run that is trained by several processes."""

    def __init__(self) -> None:
        self.alone, self.steps, self.sums = PlainStep(), 0, 0

    def losses(self, learner: Learner, images: Tensor, labels: Tensor) -> Losses:
        """The whole batch's numbers; the gradients of the terms are those of this process's part."""
        if not self.steps:
            broadcast_models([learner.method])
        self.steps += 1
        own, count = own_part(len(labels)), len(labels)
        found = self.alone.losses(learner, images[own], labels[own])
        part = (own.stop - own.start) / count
        values = [part * term.value for term in found.terms.values()]
        totals = [value.detach().float() for value in values]
        sum_over_processes(totals)
        terms = {
            name: Term(value + (total.to(value.dtype) - value.detach()), term.weight)
            for (name, term), value, total in zip(found.terms.items(), values, totals, strict=True)
        }
        return Losses(terms, whole_batch(found.logits, count))

    def backward(self, learner: Learner, losses: Losses) -> None:
        before, method = self.sums, learner.method
        if "reduce" in inspect.signature(method.backward).parameters:
            method.backward(losses, learner.scaler.scale, reduce=self.reduce)
        if self.sums == before:
            raise DistributedError(
                f"{type(method).__name__}.backward does not call `reduce` with its gradients, so it cannot train over "
                "several processes (docs/distributed.md): start it without torchrun"
            )

    def reduce(self, gradients: Sequence[Tensor]) -> None:
        """Sum gradients over the processes, in place."""
        self.sums += 1
        sum_over_processes(gradients)


def distribute(trainer: ClipTrainer) -> None:
    """Let a newly built trainer share its steps with the other processes of the run.

    Raises:
        DistributedError: it does not train by steps of ours, or the processes have different data.
    """
    if not isinstance(trainer, ClipTrainer):
        raise DistributedError(
            f"{type(trainer).__name__} has a training step of its own, which cannot be divided among processes: "
            "start it without torchrun"
        )
    check_same_data(trainer)
    broadcast_random_state()
    trainer.computer, trainer.stop = DistributedStep(), DistributedStop()


def check_same_data(trainer: ClipTrainer) -> None:
    """Refuse to train if the processes have different training lists.

    Raises:
        DistributedError: their training lists differ, as on machines with different data folders.
    """
    mine = [(os.path.basename(datum.impath), datum.label) for datum in trainer.dm.dataset.train_x]
    if not agree_all(mine == [tuple(pair) for pair in from_first(mine)]):
        raise DistributedError(
            "The processes have different training images: DATASET.ROOT must hold the same images on every machine"
        )
