"""Golden cases of Tip-Adapter, whose features the real trainers take from loaders."""

from __future__ import annotations

from types import SimpleNamespace

import torch

import train
from dassl.engine import TRAINER_REGISTRY
from trainers.base.run_settings import settings_of_run

SETTINGS = {  # the case's name: ours
    "init_beta": "INIT_BETA",
    "init_alpha": "INIT_ALPHA",
    "search_scale": "SEARCH_SCALE",
    "search_step": "SEARCH_STEP",
    "augment_epoch": "AUGMENT_EPOCH",
}


class Loader:
    """Batches of (images, labels) arrays, `at_once` of them at each pass, one pass after the other."""

    def __init__(self, images, labels, at_once):
        self.batches = [{"img": i, "label": y} for i, y in zip(images, labels, strict=True)]
        self.at_once, self.first = at_once, 0

    def __len__(self):
        return self.at_once

    def __iter__(self):
        first, self.first = self.first, (self.first + self.at_once) % len(self.batches)
        return iter(self.batches[first : first + self.at_once])


def build(case, trainer: str, folder, select_on="test", validation=True, **options):
    """The real trainer on the case's CLIP, with the case's arrays behind its loaders."""
    real = TRAINER_REGISTRY.get(trainer)
    config, per_epoch = case.about["config"], case.about["optimizer"]["steps_per_epoch"]
    opts = {f"TRAINER.{real.settings_node}.{ours}": config[theirs] for theirs, ours in SETTINGS.items()}
    opts |= {
        f"TRAINER.{real.settings_node}.TEMPLATES": case.about["templates"],
        f"TRAINER.{real.settings_node}.SELECT_ON": select_on,
        "MODEL.BACKBONE.NAME": case.weights,
        "INPUT.SIZE": tuple(case["test/images"].shape[-2:]),
        "DATASET.NAME": "Caltech101",
        "TASK": "FS",
        "USE_CUDA": False,
        "OUTPUT_DIR": folder,
        "OPTIM.MAX_EPOCH": config["train_epoch"],
        "OPTIM.NAME": case.about["optimizer"]["name"],
        "OPTIM.LR": config["lr"],
        "OPTIM.WEIGHT_DECAY": case.about["optimizer"]["weight_decay"],
        "OPTIM.LR_SCHEDULER": "cosine",
        "OPTIM.ADAM_EPS": case.about["optimizer"]["eps"],
    }
    words = [str(word) for pair in (opts | options).items() for word in pair]
    names = case.about["classnames"]

    class WithArrays(real):
        steps, epochs = (), ()

        def build_data_loader(self):
            self.dm = SimpleNamespace(dataset=SimpleNamespace(classnames=names))
            self.num_classes, self.lab2cname = len(names), dict(enumerate(names))
            self.train_loader_x = Loader(case["train/images"], case["train/labels"], per_epoch)
            self.training_labels = case["cache/labels"]
            self.train_loader_u = self.val_loader = None
            if validation:
                self.val_loader = Loader(case["val/images"][None], case["val/labels"][None], 1)
            self.test_loader = Loader(case["test/images"][None], case["test/labels"][None], 1)

        def training_rows(self, views):
            return torch.stack([self.method.clip.pool(case["cache/images"][view]) for view in views])

        def epoch_batches(self):
            return len(self.train_loader_x), iter(self.train_loader_x)

        def forward_backward(self, batch):
            rate = self.get_current_lr()
            shown = super().forward_backward(batch)
            self.steps = (*self.steps, (rate, shown["loss"]))
            return shown

        def after_epoch(self):
            logits = self.model_inference(case["test/images"]).detach()
            self.epochs = (*self.epochs, (logits, self.method.keys.detach().clone()))
            super().after_epoch()

    WithArrays.__name__ = trainer
    return WithArrays(settings_of_run(train.parse(["--trainer", trainer, *words])).cfg)
