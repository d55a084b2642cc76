"""Check a run's settings against their declared ranges, before any data is read."""

from __future__ import annotations

from yacs.config import CfgNode

from clip.weights import known_resnet, not_found
from dassl.config import ConfigBuilder
from dassl.config.checks import DEPENDENCIES, check_ranges
from dassl.config.defaults import RULES as OF_THE_ENGINE
from dassl.config.validators import Values, one_of
from dassl.data.datasets.build import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY
from dassl.evaluation import EVALUATOR_REGISTRY
from dassl.utils.names import unknown_name_message
from trainers.base.frozen_clip import vit_wanted
from trainers.base.harness_settings import HARNESS

OF_THE_HARNESS = {key: setting.rule for key, setting in HARNESS.items() if setting.rule}


def _dataset(values: Values) -> str | None:
    name, known = values["DATASET.NAME"], DATASET_REGISTRY.registered_names()
    return unknown_name_message("dataset", name, known) if name and name not in known else None


def _backbone(values: Values) -> str | None:
    name = values["MODEL.BACKBONE.NAME"]
    return not_found(name) if name else None


def _vit(values: Values) -> str | None:
    """Refuse a ResNet before its weights are fetched."""
    trainer = TRAINER_REGISTRY.get(values["TRAINER.NAME"])
    node = f"TRAINER.{trainer.settings_node}."
    own = CfgNode({key.removeprefix(node): value for key, value in values.items() if key.startswith(node)})
    what = trainer.method_class.needs_vit(own)
    return vit_wanted(what) if what and known_resnet(values["MODEL.BACKBONE.NAME"]) else None


def check_settings(builder: ConfigBuilder) -> None:
    """Check all settings against their ranges, of methods only those of the one that runs.

    Raises:
        dassl.config.ConfigError: with a line for each wrong value: key, origin, value, what was expected.
    """
    name = builder.cfg.TRAINER.NAME
    trainer = TRAINER_REGISTRY.get(name) if name else None
    node, declared = getattr(trainer, "settings_node", ""), getattr(trainer, "declared", {})
    of_method = {f"TRAINER.{node}.{key}": setting.rule for key, setting in declared.items() if setting.rule}
    registered = {"TEST.EVALUATOR": one_of(*EVALUATOR_REGISTRY.registered_names())}  # plugins' ones among them
    dependencies = [*DEPENDENCIES, *getattr(trainer, "dependencies", ()), _dataset]
    if node or not name:  # a plugin may have backbones of its own
        dependencies.append(_backbone)
    if hasattr(trainer, "method_class"):
        dependencies.append(_vit)
    check_ranges(builder, OF_THE_ENGINE | OF_THE_HARNESS | registered | of_method, dependencies)
