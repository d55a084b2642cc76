"""Tip-Adapter-F: Tip-Adapter (Zhang et al., ECCV 2022) whose cached keys are trained.

The published code keeps the epoch that is best on the *test* set. Here the epoch, and after it beta and alpha, are
chosen on the validation images; without any, the last epoch and the start values are kept. SELECT_ON test reproduces
the published protocol: the epoch on the test set, beta and alpha on the validation images, or on the test set where a
dataset has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dassl.engine import TRAINER_REGISTRY
from dassl.optim import build_lr_scheduler
from dassl.optim.schedules import EpochScheduler
from trainers.base.epoch_choice import EpochChoice
from trainers.base.method import accuracy
from trainers.tip_adapter import CacheTrainer, TipAdapterMethod


class TipAdapterFMethod(TipAdapterMethod):
    """Tip-Adapter's cache with learned keys (N, E), which start as normalized features and may change length."""

    trains_keys = True


@TRAINER_REGISTRY.register()
class TipAdapterF(CacheTrainer, EpochChoice):
    """Fills the cache, trains its keys with a rate that falls at every step, keeps the best epoch, then searches."""

    method_class = TipAdapterFMethod
    settings_node = "TIPADAPTERF"
    checkpoint_folder = "tip_adapter_f"
    schedule_unit = "step"

    def build_schedule(self) -> EpochScheduler:
        """Return the published schedule, in which MAX_EPOCH and the other epoch settings count steps."""
        steps = self.cfg.OPTIM.clone()
        steps.defrost()
        steps.MAX_EPOCH *= max(1, len(self.train_loader_x))
        steps.SCHEDULE_UNIT = "epoch"
        return build_lr_scheduler(self.optim, steps)

    def before_train(self) -> None:
        loader = self.val_loader if self.settings.SELECT_ON == "val" else self.test_loader
        self.judge = loader and self.judged_by(loader)
        super().before_train()  # last, because it may restore the random generators of an earlier run
        if not len(self.method.labels):
            self.fill_cache()

    def epoch_batches(self) -> tuple[int, Iterator[dict[str, Any]]]:
        """Every image once in random order, each epoch under a view of its own, as if augmented anew."""
        return self.shuffled_batches(self.settings.AUGMENT_EPOCH + self.epoch)

    def judged(self) -> float | None:
        """Return the accuracy at the start values of beta and alpha."""
        if self.judge is None:
            return None
        features, labels = self.judge
        return accuracy(self.method.cached_logits(features, self.method.class_features()), labels).item()

    def after_choice(self) -> None:
        self.search()

    def restore_state(self, name: str, state: dict[str, Any]) -> int:
        if "keys" in state["best"]:  # a checkpoint of an older version
            state["best"]["state"] = self.method.state_dict() | {"keys": state["best"].pop("keys")}
        return super().restore_state(name, state)
