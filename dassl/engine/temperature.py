"""The temperature of a run's probabilities, from validation images alone (TEST.FIT_TEMPERATURE)."""

from __future__ import annotations

import torch
from torch import Tensor

from dassl.engine.distributed import outcomes_of_all
from dassl.engine.simple import SimpleTrainer
from dassl.evaluation.temperature import fit_temperature


def fitted_temperature(trainer: SimpleTrainer, test_classes: str) -> float | None:
    """Return the temperature fitted on the validation images; None, and print why, where there are none to use.

    Args:
        test_classes: "seen" or "unseen", the classes of the images.
    """
    if why := _obstacle(trainer, test_classes):
        print(f"No temperature is fitted: {why}")
        return None
    outcomes = list(outcomes_of_all(trainer.val_loader, lambda batch: _scores(trainer, batch)))
    logits, labels = (torch.cat(parts) for parts in zip(*outcomes, strict=True))
    temperature = fit_temperature(logits, labels)
    print(f"Temperature fitted on {len(labels):,} validation images: {temperature:.4g}")
    return temperature


def _obstacle(trainer: SimpleTrainer, test_classes: str) -> str:
    if test_classes == "unseen":
        return "the classes tested are not the trained ones, and the training run has recorded no temperature to use"
    data = trainer.dm.dataset
    if trainer.val_loader is None or not data.val:
        return "there are no validation images"
    if {datum.impath for datum in data.val} & {datum.impath for datum in data.test}:
        return f"the validation images of {trainer.cfg.DATASET.NAME} are test images"
    return ""


def _scores(trainer: SimpleTrainer, batch: dict) -> tuple[Tensor, Tensor]:
    images, labels = trainer.parse_batch_test(batch)
    return trainer.model_inference(images), labels
