"""How losses and gradients of a training step are computed: plainly; several runs at once are in `joint_runs.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from trainers.base.method import Losses

if TYPE_CHECKING:
    from trainers.base.trainer import ClipTrainer


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
