"""The outcome of a run: its results, and the rule by which classes were predicted."""

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
    """Return how reports mark the run's method for what it learns from (`Method.marks`); empty of a plugin."""
    trainer = TRAINER_REGISTRY.get(cfg.TRAINER.NAME)
    kind, node = getattr(trainer, "method_class", None), getattr(trainer, "settings_node", "")
    return [] if kind is None else list(kind.marks(method_settings(cfg, node), cfg.DATASET))


def metrics_of(trainer: TrainerBase) -> dict[str, float]:
    """The evaluator's results; of a plugin that tests without one, the accuracy that its `test` returned."""
    results = getattr(trainer.evaluator, "last_results", None) or {}
    if not results and isinstance(trainer.tested, int | float):
        results = {"accuracy": float(trainer.tested)}
    return {"error" if name == "error_rate" else name: value for name, value in results.items()}


def calibration_of(trainer: TrainerBase) -> dict[str, Any]:
    """Return how far the last evaluation's probabilities can be trusted; empty of an evaluator that does not say."""
    measure = getattr(trainer.evaluator, "calibration", None)
    return (measure() if callable(measure) else None) or {}
