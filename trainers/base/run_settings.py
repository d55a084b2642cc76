"""A run's settings from its command line, each value with its origin.

Later layers win: engine and method defaults, dataset yaml, method yaml, published per-dataset values, command
line.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from dassl.config import ConfigBuilder, ConfigError
from dassl.config.builder import nearest_keys
from dassl.config.coercion import decode
from dassl.engine import TRAINER_REGISTRY
from safeio.escape import shown
from safeio.file_names import own_data_name
from safeio.names import find_name
from safeio.old_spellings import present_protocol
from safeio.trees import leaves
from trainers.base.check_settings import check_settings
from trainers.base.harness_settings import HARNESS
from trainers.base.plugins import PLUGINS, is_plugin, without_its_plugin

CONFIGS = Path(__file__).parents[2] / "configs"

COMMAND_LINE = "command line"
"""Origin of the values that a command line gives."""
OWN_CLASSES = "no protocol: a run that trains is tested on the classes it trained on"
"""Origin of TEST.CLASSES."""
FLAGS = {
    "name": "DATASET.OWN_NAME",
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
    "track": "TRAIN.TRACK",
}


def declared() -> ConfigBuilder:
    """Return every setting at its default: the engine's, the harness's and all methods'."""
    builder = ConfigBuilder()
    for key, setting in HARNESS.items():
        builder.declare(key, setting.default)
    for name in TRAINER_REGISTRY.registered_names():
        trainer = TRAINER_REGISTRY.get(name)
        for key, value in getattr(trainer, "defaults", {}).items():
            builder.declare(f"TRAINER.{trainer.settings_node}.{key}", value)
        builder.hints |= getattr(trainer, "published_keys", {})
    return builder


def keys_like(flag: str) -> str:
    """Return the settings that an unknown flag may mean, such as OPTIM.LR for `--lr`; empty if none is similar."""
    word = flag.strip("-").partition("=")[0].replace("-", "_")
    keys = [key for key, _ in leaves(declared().cfg) if not key.startswith("TRAINER.")]
    return " or ".join(nearest_keys(word, keys))


def settings_of_run(args: argparse.Namespace) -> ConfigBuilder:
    """The settings of a run, frozen.

    Args:
        args: what train.py's parser returns: flags (None where not given), trailing KEY VALUE pairs in `opts`, in
            `record` a run's record to take the settings from (or None).

    Raises:
        ConfigError: an unknown key, or a value of the wrong type or out of range, with its origin and what is valid.
    """
    builder = declared()
    if args.record:
        _merge_record(builder, args.record, f"record {args.from_record}")
    else:
        _merge_files(builder, args)
    for flag, key in FLAGS.items():
        if getattr(args, flag, None) is not None:
            builder.set(key, getattr(args, flag), COMMAND_LINE)
    if getattr(args, "device", None):
        builder.set("USE_CUDA", args.device.startswith("cuda"), COMMAND_LINE)
    if args.no_cache:
        builder.set("DATALOADER.CACHE", False, COMMAND_LINE)
    if args.deterministic:
        builder.set("DETERMINISTIC", True, COMMAND_LINE)
    builder.merge_opts(args.opts, COMMAND_LINE)
    _decide_test_classes(builder, args.eval_only)
    _settle_own_data(builder)
    check_settings(builder)
    builder.freeze()
    return builder


def _merge_record(builder: ConfigBuilder, record: Mapping[str, Any], origin: str) -> None:
    """Take all settings from an earlier run's record, none from yaml files; the new folder is beside the old."""
    config = record["config"]
    if lost := without_its_plugin(record):
        raise ConfigError(f"The run of {origin.removeprefix('record ')} was {lost}")
    _choose_trainer(builder, config["TRAINER"]["NAME"], origin)
    builder.merge_dict(config, origin)
    builder.set("OUTPUT_DIR", config["OUTPUT_DIR"].rstrip("/") + "-again", "default of --from-record")


def _merge_files(builder: ConfigBuilder, args: argparse.Namespace) -> None:
    """The yaml files that a command line names, and what follows from them."""
    if args.trainer:
        _choose_trainer(builder, args.trainer, COMMAND_LINE)
    if args.dataset_config_file:
        builder.merge_file(config_path(args.dataset_config_file), f"dataset yaml {args.dataset_config_file}")
    if args.config_file:
        builder.merge_file(config_path(args.config_file), f"method yaml {args.config_file}")
    _merge_preset(builder, dict(zip(args.opts[::2], args.opts[1::2], strict=False)))


def _choose_trainer(builder: ConfigBuilder, name: str, origin: str) -> None:
    name = find_name(name, TRAINER_REGISTRY.registered_names()) or name
    builder.set("TRAINER.NAME", name, origin)
    trainer = TRAINER_REGISTRY.get(name)
    declares = hasattr(trainer, "defaults")
    if is_plugin(trainer):  # its tree is the engine's and its own: ours may have nodes of the same names
        kept = ("NAME", getattr(trainer, "settings_node", ""))
        for node in [node for node in builder.cfg.TRAINER if node not in kept]:
            del builder.cfg.TRAINER[node]
        declares |= PLUGINS.extend(trainer, builder.cfg)
    if not declares:
        builder.open("TRAINER")  # a plugin file that declares no settings brings them in its yaml


def config_path(file: str) -> Path:
    """Return the path of a yaml file; `configs/...` is found from any working folder."""
    here, ours = Path(file), CONFIGS.parent / file
    return ours if ours.is_file() and not here.is_file() else here.absolute()


def _read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def _merge_preset(builder: ConfigBuilder, pairs: Mapping[str, Any]) -> None:
    """Merge a preset's settings, and the published per-dataset values where it says so."""
    presets, name = _read(CONFIGS / "presets.yaml"), pairs.get("PRESET", builder.cfg.PRESET)
    if name not in presets:
        raise ConfigError(f"PRESET is {shown(name)}; it must be one of {', '.join(presets)}")
    for key, value in presets[name].get("options", {}).items():
        builder.set(key, value, f"preset {name}, configs/presets.yaml")
    if presets[name]["per_dataset"]:
        _merge_per_dataset(builder, pairs)


def _merge_per_dataset(builder: ConfigBuilder, pairs: Mapping[str, Any]) -> None:
    """Published per-dataset hyper-parameters, chosen by method, task and dataset."""
    cfg = builder.cfg
    trainer, dataset = cfg.TRAINER.NAME, pairs.get("DATASET.NAME", cfg.DATASET.NAME)
    file = CONFIGS / "trainers" / trainer / "per_dataset.yaml"
    if not trainer or not file.is_file() or is_plugin(TRAINER_REGISTRY.get(trainer)):
        return
    values = _read(file).get(pairs.get("TASK", cfg.TASK), {}).get(dataset, {})
    node = TRAINER_REGISTRY.get(trainer).settings_node
    shots = decode(pairs.get("DATASET.NUM_SHOTS", cfg.DATASET.NUM_SHOTS))
    for key, value in values.items():
        value = value.get(shots) if isinstance(value, Mapping) else value
        if value is not None:
            key = key if "." in key else f"TRAINER.{node}.{key}"
            builder.set(key, value, f"per-dataset value, configs/trainers/{trainer}/per_dataset.yaml")


def _decide_test_classes(builder: ConfigBuilder, eval_only: bool) -> None:
    """Set TEST.CLASSES, where it is not given, as the protocol says.

    Without a protocol (neither PROTOCOL nor TASK is given) the classes decide: a run that trains tests what it trained;
    a run that tests a checkpoint compares its classes with the checkpoint's (`trainers.base.trainer`).

    Protocols that extend another leave that to it; of one TASK there may be several, if they say the same.
    """
    cfg = builder.cfg
    by_task: dict[str, dict[str, Any]] = {}
    for file in sorted((CONFIGS / "protocols").glob("*.yaml")):
        protocol = present_protocol(_read(file))
        if "extends" not in protocol:
            by_task.setdefault(protocol["task"], {})[file.name] = protocol
    if cfg.TASK not in by_task:
        raise ConfigError(f"TASK is {shown(cfg.TASK)}; it must be one of {', '.join(by_task)}")
    classes = cfg.DATASET.SUBSAMPLE_CLASSES
    if classes not in ("all", "base", "new"):
        raise ConfigError(f"DATASET.SUBSAMPLE_CLASSES is {shown(classes)}; it must be one of all, base, new")
    if cfg.TEST.CLASSES:
        return
    if not cfg.PROTOCOL and "TASK" not in builder.origins:
        if not eval_only:
            builder.set("TEST.CLASSES", "seen", OWN_CLASSES)
        return
    kinds = {name: _test_classes(protocol, cfg.DATASET.NAME, classes) for name, protocol in by_task[cfg.TASK].items()}
    kind, *others = set(kinds.values())
    if others:
        said = ", ".join(f"{name}: {kind}" for name, kind in kinds.items())
        raise ConfigError(f"Protocols of TASK {cfg.TASK} disagree on {cfg.DATASET.NAME} ({said}); set TEST.CLASSES.")
    builder.set("TEST.CLASSES", kind, f"test_classes of configs/protocols/{', '.join(kinds)}")


def _settle_own_data(builder: ConfigBuilder) -> None:
    """Name own images after their folder and turn them upright, as in prediction, unless set otherwise."""
    cfg = builder.cfg
    if cfg.DATASET.NAME != "Folder":
        return
    if not cfg.DATASET.OWN_NAME:
        builder.set("DATASET.OWN_NAME", own_data_name(cfg.DATASET.ROOT), "name of DATASET.ROOT")
    if "INPUT.UPRIGHT" not in builder.origins:
        builder.set("INPUT.UPRIGHT", True, "own images")


def without_effect(builder: ConfigBuilder, published: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each setting of the command line that has no effect on the method.

    Args:
        published: by key, what published scripts give in the protocol; nobody here asked for these.
    """
    cfg, trainer = builder.cfg, TRAINER_REGISTRY.get(builder.cfg.TRAINER.NAME)
    if not hasattr(trainer, "unread"):  # a CoOp-style plugin says nothing of itself
        return []
    values = dict(leaves(cfg))
    return [
        f"{key} changes nothing in {cfg.TRAINER.NAME}: {why}"
        for key, why in trainer.unread(cfg).items()
        if builder.origins.get(key) == COMMAND_LINE and (key not in published or published[key] != values[key])
    ]


def symbols(cfg: CfgNode) -> dict[str, str]:
    """Return, by swept key, how the paper of the run's method writes the setting; without those that have no symbol."""
    trainer = TRAINER_REGISTRY.get(cfg.TRAINER.NAME)
    node, declared = getattr(trainer, "settings_node", ""), getattr(trainer, "declared", {})
    found = {f"TRAINER.{node}.{name}": setting.symbol for name, setting in declared.items() if setting.symbol}
    return {key: found[key] for key in cfg.SWEPT if key in found}


def nodes_of_others(trainer: str) -> set[str]:
    """Return the keys of the other methods' settings."""
    nodes = {
        name: getattr(TRAINER_REGISTRY.get(name), "settings_node", "") for name in TRAINER_REGISTRY.registered_names()
    }
    return {f"TRAINER.{node}" for node in nodes.values() if node and node != nodes.get(trainer)}


def _test_classes(protocol: Mapping[str, Any], dataset: str, classes: str) -> str:
    """Return seen or unseen: by half of the classes, or by whether the dataset is a source."""
    if "source_names" in protocol:
        classes = "source" if dataset in protocol["source_names"] else "target"
    return protocol["test_classes"][classes]
