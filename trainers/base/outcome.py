"""Outcome of a run: its results, and the rule by which classes were predicted."""

from __future__ import annotations

from typing import Any

from yacs.config import CfgNode

from dassl.config import ConfigBuilder
from dassl.engine import TRAINER_REGISTRY, TrainerBase
from trainers.base.build import method_settings


def prediction_rule(trainer: TrainerBase, builder: ConfigBuilder) -> tuple[str, str]:
    """Return the rule of prediction, seen or unseen, and the reason for it."""
    reason = getattr(trainer, "test_classes_reason", "") or builder.origins.get(
        "TEST.CLASSES", "the method has one rule only"
    )
    return getattr(trainer, "test_classes", builder.cfg.TEST.CLASSES), reason


def marks_of(cfg: CfgNode) -> list[str]:
    """Return the marks that reports give the run's method (`Method.marks`); empty for a plugin."""
    trainer = TRAINER_REGISTRY.get(cfg.TRAINER.NAME)
    kind, node = getattr(trainer, "method_class", None), getattr(trainer, "settings_node", "")
    return [] if kind is None else list(kind.marks(method_settings(cfg, node), cfg.DATASET))


def metrics_of(trainer: TrainerBase) -> dict[str, float]:
    """Return the evaluator's results; for a plugin without an evaluator, the accuracy that its `test` returned."""
    results = getattr(trainer.evaluator, "last_results", None) or {}
    if not results and isinstance(trainer.tested, int | float):
        results = {"accuracy": float(trainer.tested)}
    return {"error" if name == "error_rate" else name: value for name, value in results.items()}


def calibration_of(trainer: TrainerBase) -> dict[str, Any]:
    """Return the calibration of the last evaluation's probabilities; empty if the evaluator does not measure it."""
    measure = getattr(trainer.evaluator, "calibration", None)
    return (measure() if callable(measure) else None) or {}
