"""Trainings on cached features that end with the parameters of their best epoch, by images that are not trained on."""

from __future__ import annotations

from typing import Any

import torch

from safeio.progress import print_line
from trainers.base.feature_trainer import FeatureTrainer


class EpochChoice(FeatureTrainer):
    """Keeps the parameters of the best epoch; without images to choose by, those of the last.

    Attributes:
        last_of_equals: whether the last of equally good epochs is kept, else the first.
        best: result, number and state of the best epoch so far; part of every checkpoint.
    """

    last_of_equals: bool = False

    def judged(self) -> float | None:
        """Return the present parameters' result (larger is better); None if there are no images to choose by."""
        raise NotImplementedError(f"{type(self).__name__} must implement judged()")

    def before_train(self) -> None:
        self.best = {"result": -1.0, "epoch": -1, "state": {}}
        super().before_train()  # last: what an earlier run had reached replaces the start

    def after_epoch(self) -> None:
        self.keep_best()
        if self.epoch + 1 == self.max_epoch:
            self.method.load_state_dict(self.best["state"])
            print_line(f"Kept: epoch {self.best['epoch'] + 1}")
            self.after_choice()
        super().after_epoch()

    def after_choice(self) -> None:
        """Do what follows the choice, before the last checkpoint is written."""

    @torch.no_grad()
    def keep_best(self) -> None:
        """Remember the present parameters if they are the best so far."""
        result, best = self.judged(), self.best["result"]
        if result is None or result > best or (self.last_of_equals and result == best):
            state = {name: value.clone() for name, value in self.method.state_dict().items()}
            self.best = {"result": -1.0 if result is None else result, "epoch": self.epoch, "state": state}

    def checkpoint_state(self, name: str, epoch: int, val_result: float | None = None) -> dict[str, Any]:
        return super().checkpoint_state(name, epoch, val_result) | {"best": self.best}

    def restore_state(self, name: str, state: dict[str, Any]) -> int:
        kept = {key: value.to(self.device) for key, value in state["best"]["state"].items()}
        self.best = state["best"] | {"state": kept}
        return super().restore_state(name, state)
