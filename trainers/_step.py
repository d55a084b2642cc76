"""How a training step's losses and gradients are computed: plainly here; for several runs at once in `_together.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from trainers._method import Losses

if TYPE_CHECKING:
    from trainers._clip_trainer import ClipTrainer


class StepComputer(Protocol):
    """What a trainer asks for in each step."""

    def losses(self, trainer: ClipTrainer, images: Tensor, labels: Tensor) -> Losses:
        """The method's losses of a batch, images (B, 3, S, S) and labels (B,), in the run's precision."""

    def backward(self, trainer: ClipTrainer, losses: Losses) -> None:
        """Set the gradients of the method's parameters, scaled where the precision asks for it."""


class PlainStep:
    """A run by itself."""

    def losses(self, trainer: ClipTrainer, images: Tensor, labels: Tensor) -> Losses:
        with trainer.precision.context():
            return trainer.method.losses(images, labels)

    def backward(self, trainer: ClipTrainer, losses: Losses) -> None:
        trainer.method.backward(losses, trainer.scaler.scale)
