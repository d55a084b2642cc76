"""From a command line to a run's settings, each value with its origin.

Later layers win: engine and method defaults, dataset yaml, method yaml, published per-dataset values, command
line.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dassl.config import ConfigBuilder, ConfigError
from dassl.engine import TRAINER_REGISTRY

CONFIGS = Path(__file__).parent.parent / "configs"

HARNESS_DEFAULTS = {
    "TASK": "B2N",  # the protocol: base-to-new (B2N), few-shot (FS), cross-dataset (CD)
    "DATASET.SUBSAMPLE_CLASSES": "all",  # all, base or new
    "DATASET.TEMPLATE": "",  # a {} for the class name; empty: configs/templates.yaml
    "TEST.ROLE": "",  # trained or transferred; empty: what the protocol says of these classes
}
FLAGS = {
    "root": "DATASET.ROOT",
    "output_dir": "OUTPUT_DIR",
    "resume": "RESUME",
    "seed": "SEED",
    "source_domains": "DATASET.SOURCE_DOMAINS",
    "target_domains": "DATASET.TARGET_DOMAINS",
    "transforms": "INPUT.TRANSFORMS",
    "backbone": "MODEL.BACKBONE.NAME",
    "head": "MODEL.HEAD.NAME",
    "train_epoch": "OPTIM.MAX_EPOCH",
}


def resolve(args: argparse.Namespace) -> ConfigBuilder:
    """The settings of a run, frozen.

    Args:
        args: what train.py's parser returns: flags (None where not given), trailing KEY VALUE pairs in `opts`.

    Raises:
        ConfigError: an unknown key or a value of the wrong type, with its origin and the nearest valid key.
    """
    builder = ConfigBuilder()
    for key, value in HARNESS_DEFAULTS.items():
        builder.declare(key, value)
    for name in TRAINER_REGISTRY.registered_names():
        trainer = TRAINER_REGISTRY.get(name)
        for key, value in getattr(trainer, "defaults", {}).items():
            builder.declare(f"TRAINER.{trainer.settings_node}.{key}", value)
    if args.trainer:
        builder.set("TRAINER.NAME", args.trainer, "command line")
        if not hasattr(TRAINER_REGISTRY.get(args.trainer), "defaults"):
            builder.open("TRAINER")  # a plugin file that declares no settings brings them in its yaml
    if args.dataset_config_file:
        builder.merge_file(args.dataset_config_file, f"dataset yaml {args.dataset_config_file}")
    if args.config_file:
        builder.merge_file(args.config_file, f"method yaml {args.config_file}")
    command_line = [(FLAGS[flag], getattr(args, flag)) for flag in FLAGS if getattr(args, flag) is not None]
    pairs = dict(zip(args.opts[::2], args.opts[1::2], strict=False))
    _merge_per_dataset(builder, pairs)
    for key, value in command_line:
        builder.set(key, value, "command line")
    if args.no_cache:
        builder.set("DATALOADER.CACHE", False, "command line")
    builder.merge_opts(args.opts, "command line")
    _decide_role(builder)
    builder.freeze()
    return builder


def _merge_per_dataset(builder: ConfigBuilder, pairs: Mapping[str, Any]) -> None:
    """Published per-dataset hyper-parameters, chosen by method, task and dataset."""
    cfg = builder.cfg
    trainer, dataset = cfg.TRAINER.NAME, pairs.get("DATASET.NAME", cfg.DATASET.NAME)
    file = CONFIGS / "trainers" / trainer / "per_dataset.yaml"
    if not trainer or not file.is_file():
        return
    values = yaml.safe_load(file.read_text(encoding="utf-8")).get(pairs.get("TASK", cfg.TASK), {}).get(dataset, {})
    node = TRAINER_REGISTRY.get(trainer).settings_node
    for key, value in values.items():
        builder.set(f"TRAINER.{node}.{key}", value, f"per-dataset value, configs/trainers/{trainer}/per_dataset.yaml")


def _decide_role(builder: ConfigBuilder) -> None:
    """Where TEST.ROLE is not given, take what the protocol's data says of the classes tested on."""
    cfg = builder.cfg
    protocols = {}
    for file in sorted((CONFIGS / "protocols").glob("*.yaml")):
        protocol = yaml.safe_load(file.read_text(encoding="utf-8"))
        protocols[protocol["task"]] = (file.name, protocol)
    if cfg.TASK not in protocols:
        raise ConfigError(f"TASK is {cfg.TASK!r}; it must be one of {', '.join(protocols)}")
    file, protocol = protocols[cfg.TASK]
    classes = cfg.DATASET.SUBSAMPLE_CLASSES
    if classes not in ("all", "base", "new"):
        raise ConfigError(f"DATASET.SUBSAMPLE_CLASSES is {classes!r}; it must be one of all, base, new")
    if "source_names" in protocol:
        classes = "source" if cfg.DATASET.NAME in protocol["source_names"] else "target"
    if not cfg.TEST.ROLE:
        builder.set("TEST.ROLE", protocol["roles"][classes], f"roles of configs/protocols/{file}")
