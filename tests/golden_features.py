"""Golden cases of methods on frozen features, whose images the real trainers take from the case, not from a dataset."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

import train
from dassl.engine import TRAINER_REGISTRY
from golden_cases import Case
from golden_tip_adapter import Loader
from trainers.base.run_settings import settings_of_run

SETTINGS = {  # the case's name: ours
    "augmentation_repetitions": "AUGMENT_EPOCH",
    "augment_epoch": "AUGMENT_EPOCH",
    "aug_views": "AUG_VIEWS",
    "lambda": "LAMBDA",
    "mode": "MODE",
}
VALUES = {"fewshot": "few_shot", "1/N": -1.0}


def options(case: Case) -> dict[str, Any]:
    """Return the case's settings under our names, beside those of every case."""
    config, optimiser = case.about["config"], case.about.get("optimizer", {})
    node = TRAINER_REGISTRY.get(case.about["method"]).settings_node
    found = {f"TRAINER.{node}.{ours}": config[theirs] for theirs, ours in SETTINGS.items() if theirs in config}
    found = {key: VALUES.get(value, value) if isinstance(value, str) else value for key, value in found.items()}
    if "batch" in config:
        found["DATALOADER.TRAIN_X.BATCH_SIZE"] = config["batch"]
    if "train_epoch" in config:
        found |= {"OPTIM.MAX_EPOCH": config["train_epoch"], "OPTIM.WARMUP_EPOCH": 0}
        found["OPTIM.LR_SCHEDULER"] = "cosine" if "Cosine" in optimiser.get("schedule", "") else "single_step"
    return found


def build(case: Case, folder, test_classes: str = "seen", names: str = "classnames", **other: Any):
    """The real trainer on the case's CLIP; it notes the rate and the loss terms of each step."""
    method, classnames = case.about["method"], case.about[names]
    opts = (
        options(case) | {"OUTPUT_DIR": folder, "TASK": "FS", "TEST.CLASSES": test_classes, "TEST.NO_TEST": True} | other
    )
    words = [*case.arguments(method), *(str(word) for pair in opts.items() for word in pair)]
    cfg, real = settings_of_run(train.parse(words)).cfg, TRAINER_REGISTRY.get(method)
    views = case["cache/images"]
    views = views if views.ndim == 5 else views[None]

    class WithArrays(real):
        training_labels = case["cache/labels"]
        steps: tuple[dict[str, float], ...] = ()

        def build_data_loader(self):
            self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=classnames, train_x=[]))
            self.num_classes, self.lab2cname = len(classnames), dict(enumerate(classnames))
            count = case.about.get("optimizer", {}).get("steps_per_epoch", 1)
            self.train_loader_x, self.train_loader_u, self.test_loader = range(count), None, None
            self.val_loader = None
            if "val/images" in case.arrays:
                self.val_loader = Loader(case["val/images"][None], case["val/labels"][None], 1)

        def training_rows(self, wanted):
            return torch.stack([self.method.clip.pool(views[view]) for view in wanted])

        def order(self):
            return case["train/order"][self.epoch]

        def forward_backward(self, batch):
            rate = self.get_current_lr()
            shown = super().forward_backward(batch)
            first = next(name for name in ("xe", "loss") if name in shown)
            self.steps = (*self.steps, {"lr": rate, "xe": shown[first], **shown})
            return shown

    WithArrays.__name__ = method
    return WithArrays(cfg)
