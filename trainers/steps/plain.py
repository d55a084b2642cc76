"""Losses and gradients of a training step, computed without any acceleration."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.amp import GradScaler

from trainers.base.method import Losses, Method
from trainers.base.precision import Precision


class Learner(Protocol):
    """The attributes of a trainer that a step uses."""

    method: Method
    precision: Precision
    scaler: GradScaler


class StepComputer(Protocol):
    """Interface of the computation of a step."""

    def losses(self, learner: Learner, images: Tensor, labels: Tensor) -> Losses:
        """The method's losses of a batch, images (B, 3, S, S) and labels (B,), in the run's precision."""

    def backward(self, learner: Learner, losses: Losses) -> None:
        """Set the gradients of the method's parameters, scaled where the precision asks for it."""


class PlainStep:
    """A run by itself."""

    def losses(self, learner: Learner, images: Tensor, labels: Tensor) -> Losses:
        with learner.precision.context():
            return learner.method.losses(images, labels)

    def backward(self, learner: Learner, losses: Losses) -> None:
        learner.method.backward(losses, learner.scaler.scale)
