"""Tip-Adapter-F: Tip-Adapter (Zhang et al., ECCV 2022) whose cached keys are trained.

The published code keeps the epoch that is best on the *test* set. Here the epoch is chosen, like beta and alpha
after it, on the validation images; without any, the last epoch and the start values stand. SELECT_ON test
reproduces the published protocol: the epoch on the test set, beta and alpha on the validation images, or on the
test set where a dataset has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from dassl.engine import TRAINER_REGISTRY
from dassl.optim import build_lr_scheduler
from dassl.optim.lr_schedule import EpochScheduler
from safeio.progress import print_line
from trainers.base.method import accuracy
from trainers.tip_adapter import CacheTrainer, TipAdapterMethod


class TipAdapterFMethod(TipAdapterMethod):
    """The same cache; its keys start as features, are learned, and are no longer kept normalized."""

    trains_keys = True


@TRAINER_REGISTRY.register()
class TipAdapterF(CacheTrainer):
    """Fills the cache, trains its keys with a rate that falls at every step, keeps the best epoch, then searches."""

    method_class = TipAdapterFMethod
    settings_node = "TIPADAPTERF"
    checkpoint_folder = "tip_adapter_f"
    schedule_unit = "step"

    def build_schedule(self) -> EpochScheduler:
        """The published one: MAX_EPOCH and its kin count steps, as many as the epochs have."""
        steps = self.cfg.OPTIM.clone()
        steps.defrost()
        steps.MAX_EPOCH *= max(1, len(self.train_loader_x))
        steps.SCHEDULE_UNIT = "epoch"
        return build_lr_scheduler(self.optim, steps)

    def build_model(self) -> None:
        super().build_model()
        self.best = {"result": -1.0, "epoch": -1, "keys": self.method.keys.detach()}

    def before_train(self) -> None:
        loader = self.val_loader if self.settings.SELECT_ON == "val" else self.test_loader
        self.judge = loader and self.judged_by(loader)
        super().before_train()  # last, because it may restore the random generators of an earlier run
        if not len(self.method.labels):
            self.fill_cache()

    def epoch_batches(self) -> tuple[int, Iterator[dict[str, Any]]]:
        """Every image once in random order, each epoch under a view of its own, as if augmented anew."""
        return self.shuffled_batches(self.settings.AUGMENT_EPOCH + self.epoch)

    def after_epoch(self) -> None:
        self.keep_best()
        if self.epoch + 1 == self.max_epoch:
            self.method.keys.data = self.best["keys"].clone()
            print_line(f"Kept: epoch {self.best['epoch'] + 1}")
            self.search()
        super().after_epoch()

    @torch.no_grad()
    def keep_best(self) -> None:
        """Remember the keys of the first epoch that is best at the start values; without judging images the last."""
        result = -1.0
        if self.judge is not None:
            features, labels = self.judge
            result = accuracy(self.method.cached_logits(features, self.method.class_features()), labels).item()
        if self.judge is None or result > self.best["result"]:
            self.best = {"result": result, "epoch": self.epoch, "keys": self.method.keys.detach().clone()}

    def checkpoint_state(self, name: str, epoch: int, val_result: float | None = None) -> dict[str, Any]:
        return super().checkpoint_state(name, epoch, val_result) | {"best": self.best}

    def restore_state(self, name: str, state: dict[str, Any]) -> int:
        self.best = state["best"] | {"keys": state["best"]["keys"].to(self.device)}
        return super().restore_state(name, state)
