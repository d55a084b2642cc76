"""Train or test one method on one dataset and write the run's record, with CoOp's command line.

python train.py --root DATA --trainer MMRL --dataset-config-file configs/datasets/imagenet.yaml \
    --config-file configs/trainers/MMRL/vit_b16_imagenet.yaml --output-dir OUT --seed 1 [KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import difflib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from tempfile import TemporaryDirectory

from runs.train_arguments import parse_words

if __name__ == "__main__":  # --help and a wrong option are answered before the seconds that torch takes
    parse_words()

import torch
from yacs.config import CfgNode

import datasets  # noqa: F401  (registers the datasets)
import trainers  # noqa: F401  (registers the methods)
from dassl.config import ConfigBuilder, ConfigError
from dassl.data.datasets import DATASET_REGISTRY
from dassl.engine import TRAINER_REGISTRY, TrainerBase, build_trainer
from dassl.engine.distributed import naming_lost_processes, process_group, started
from dassl.engine.stop import Stopped, StopRequest
from dassl.utils import collect_env_info, set_random_seed, setup_logger
from dassl.utils.checkpoint import newest_epoch
from dassl.utils.environment import compute_as, device_of, machine, prepare_cpu_memory, set_deterministic, versions
from dassl.utils.layers import parameters_sha256
from dassl.utils.logger import Labelled, Logger, log_closed
from dassl.utils.phases import phase
from datasets.base.images_used import folders_outside, images_used
from datasets.base.metadata import lists_of, read_sources
from datasets.base.splits import dataset_folder, existing_folder
from datasets.own.read import existing
from runs.protocol import PlanError, published_options
from runs.record import RunRecord, close_abandoned, read_record, set_aside_log
from runs.repeat import OUTCOME, SURROUNDINGS, RecordError, code_version, read_to_repeat, say_differences
from runs.request import check_same_data, check_same_kind, data_of, outside_of
from runs.reuse import copied
from runs.sources import in_words, unverified
from runs.sweep.exit_with_parent import end_with_parent
from runs.sweep.grid import apart, parse_grid
from safeio.entry import PIPE_CLOSED, WRONG, command
from safeio.errors import UserError, for_people
from safeio.lock import FolderInUse, sole_use
from safeio.read_back import number
from trainers.base.build import hold_weights as hold_backbone
from trainers.base.checkpoints import CheckpointMismatch
from trainers.base.frozen_clip import one_copy_of_weights, unknown_note
from trainers.base.outcome import calibration_of, marks_of, metrics_of, prediction_rule
from trainers.base.plugins import load_plugins
from trainers.base.preflight import problems
from trainers.base.run_settings import (
    COMMAND_LINE,
    CONFIGS,
    config_path,
    keys_like,
    nodes_of_others,
    settings_of_run,
    symbols,
    without_effect,
)
from trainers.base.trainer import ClipTrainer
from trainers.steps.distributed import distribute
from trainers.steps.joint_runs import JointPass, WaitingStep
from trainers.steps.lockstep import in_lockstep

__all__ = ["main", "one", "parse", "problems", "settings_of_run"]

Prepare = Callable[[TrainerBase], None]
SLIP = 0.85
"""Similarity from which an unknown flag is taken for a misspelt one; below it, for a setting."""
IN_USE = 75
"""Exit status where another process has the output folder: the usual one of a failure that passes by itself."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse flags in any order; the words left over are KEY VALUE pairs."""
    parser, args = parse_words(arguments)
    for word in args.opts:
        if word.startswith("--"):
            known = [flag for action in parser._actions for flag in action.option_strings]
            slip = difflib.get_close_matches(word, known, 1, SLIP)
            keys = "" if slip else keys_like(word)
            near = slip or difflib.get_close_matches(word, known, 1)
            meant = f", did you mean {near[0]}?" if near else ""
            parser.error(f"unknown flag {word}" + (f": settings are given as {keys} VALUE" if keys else meant))
    if args.seeds and args.seed is not None:
        parser.error("--seed and --seeds exclude one another")
    if args.set and not args.seeds:
        parser.error("--set needs --seeds (one is enough), whose runs it trains with each of its values: give them too")
    try:
        args.grid = parse_grid(args.set)
    except PlanError as error:
        parser.error(str(error))
    if len(args.opts) % 2:
        parser.error(f"settings come in pairs KEY VALUE, but there are {len(args.opts)} words: {args.opts}")
    args.record, args.runs = None, 1
    if args.from_record:
        try:
            args.record = read_to_repeat(args.from_record)
        except RecordError as error:
            parser.error(str(error))
        vars(args).update(args.record["flags"])
    return args


def check_named(builder: ConfigBuilder) -> None:
    """Raise ConfigError where no method or no dataset is named, SplitError where its folder is not there."""
    if not builder.cfg.TRAINER.NAME:
        raise ConfigError("No method is named: give --trainer NAME, for example MMRL")
    if not builder.cfg.DATASET.NAME:
        raise ConfigError("No dataset is named: give --dataset-config-file configs/datasets/NAME.yaml or DATASET.NAME")
    if builder.cfg.DATASET.NAME == "Folder":
        existing(builder.cfg.DATASET.ROOT)
    elif builder.cfg.DATASET.NAME in read_sources():  # a benchmark; said before the weights are fetched
        existing_folder(dataset_folder(builder.cfg, DATASET_REGISTRY.get(builder.cfg.DATASET.NAME).dataset_dir))


def record_fields(builder: ConfigBuilder, args: argparse.Namespace) -> dict:
    """Return the fields of a run's record before it starts."""
    cfg, plain = builder.cfg, builder.plain()
    return {
        "method": cfg.TRAINER.NAME,
        "dataset": cfg.DATASET.OWN_NAME or cfg.DATASET.NAME,
        "protocol": cfg.PROTOCOL,
        "stage": cfg.STAGE,
        "preset": cfg.PRESET,
        "swept": {key: reduce(getitem, key.split("."), plain) for key in cfg.SWEPT},
        "symbols": symbols(cfg),
        "task": cfg.TASK,
        "subsample_classes": cfg.DATASET.SUBSAMPLE_CLASSES,
        "test_classes": cfg.TEST.CLASSES,
        "shots": cfg.DATASET.NUM_SHOTS,
        "seed": cfg.SEED,
        "model_dir": args.model_dir,
        "flags": {flag: getattr(args, flag) for flag in ("eval_only", "model_dir", "load_epoch", "no_train")},
        "plugins": args.plugins,
        "backbone": cfg.MODEL.BACKBONE.NAME,
        "versions": versions(),
        "machine": machine("cuda" if cfg.USE_CUDA and torch.cuda.is_available() else "cpu"),
        "code": code_version(),
        "data": data_of(cfg.DATASET.ROOT, cfg.DATASET.NAME == "Folder", lists_of(cfg.DATASET.NAME)),
        "config": plain,
        "origins": builder.origins,
        "replaced": {key: old for key, old in builder.replaced.items() if builder.origins[key] == COMMAND_LINE},
        "unverified": unverified_settings(args, builder),
        "marks": marks_of(cfg),
    }


def unverified_settings(args: argparse.Namespace, builder: ConfigBuilder) -> dict[str, str]:
    """Return the settings of a method's own config file that are not published, with the reasons.

    Settings of the command line are the user's own and not among them.
    """
    cfg, file = builder.cfg, config_path(args.config_file)
    if args.record:
        return args.record.get("unverified") or {}
    own = file.parent == CONFIGS / "trainers" / cfg.TRAINER.NAME
    if not own or file.stem == "photo":  # the user's file, or the demonstration's
        return {}
    found = unverified(cfg.TRAINER.NAME, cfg.TASK, cfg.DATASET.NAME, file.stem)
    return {key: why for key, why in found.items() if builder.origins.get(key) != COMMAND_LINE}


def run(
    args: argparse.Namespace, builder: ConfigBuilder, record: RunRecord, prepare: Prepare, stop: StopRequest
) -> None:
    """Train or test, or copy an equal run, and write the outcome to the record."""
    cfg, trainer = builder.cfg, built(args, builder, record)
    if args.reuse and copied(record, args.reuse, images_of(trainer, cfg), nodes_of_others(cfg.TRAINER.NAME)):
        return
    trainer.stop = stop
    prepare(trainer)
    metrics = None
    try:
        work(trainer, args)
        metrics = metrics_of(trainer)
    finally:
        trainer.notify("on_run_end", metrics)
    models = [trainer._models[name] for name in trainer.get_model_names()]
    test_classes, rule = prediction_rule(trainer, builder)
    if metrics:
        print(f"Prediction rule: {test_classes} ({rule})")
    record.complete(
        metrics,
        data={**record.content["data"], "lists": data_of(cfg.DATASET.ROOT, False, lists_of(cfg.DATASET.NAME))["lists"]},
        images=images_of(trainer, cfg),
        test_classes=test_classes,
        test_classes_reason=rule,
        trainable_params=sum(p.numel() for model in models for p in model.parameters() if p.requires_grad),
        parameters_sha256=parameters_sha256(models),
        skipped_steps=getattr(trainer, "skipped_steps", 0),
        efficiency={
            **trainer.measures.as_dict(),
            "runs_in_process": args.runs,
            "processes": started(),
        },
        calibration=calibration_of(trainer),
        phases=phase.as_dict(),
        classes=[name for _, name in sorted(trainer.lab2cname.items())],
    )
    if args.record and args.record["flags"].get("eval_only") == args.eval_only:  # a test of a run repeats nothing
        say_differences(args.record, record.content, OUTCOME, "The outcome is not that of the run repeated")


def built(args: argparse.Namespace, builder: ConfigBuilder, record: RunRecord) -> TrainerBase:
    """Return the trainer with its data and model; what is noticed of them is put on record."""
    cfg = builder.cfg
    if cfg.SEED >= 0:
        print(f"Setting fixed seed: {cfg.SEED}")
        set_random_seed(cfg.SEED)
    set_aside_log(cfg.OUTPUT_DIR)
    setup_logger(cfg.OUTPUT_DIR)
    set_deterministic(cfg.DETERMINISTIC)
    print_settings(args, builder)
    for note in without_effect(builder, published_options(cfg.PROTOCOL, cfg.TRAINER.NAME)):
        print(f"Warning: {note}")
    say_differences(
        args.record or record.earlier, record.content, SURROUNDINGS, "Repeating a run of other surroundings"
    )
    trainer = build_trainer(cfg)
    record.built = True
    record.content["notices"] = trainer.notices
    if cfg.DATASET.NAME == "Folder":
        outside = outside_of(folders_outside(getattr(trainer.dm, "dataset", None), cfg.DATASET.ROOT))
        record.content["data"] |= {"outside": outside}
    if isinstance(trainer, ClipTrainer):
        names = trainer.dm.dataset.classnames
        if unknown := trainer.frozen.unknown_names(names):
            print(f"Warning: {unknown_note(cfg.MODEL.BACKBONE.NAME, unknown, len(names))}")
    return trainer


def images_of(trainer: TrainerBase, cfg: CfgNode) -> dict[str, dict]:
    """Return the record's entry on the images of each split."""
    return images_used(getattr(trainer.dm, "dataset", None), cfg.DATASET.ROOT)


def work(trainer: TrainerBase, args: argparse.Namespace) -> None:
    """Train, or test a checkpoint, as the command line says."""
    if args.eval_only:
        epoch = args.load_epoch
        if epoch is None and args.model_dir:
            epoch = newest_epoch([Path(args.model_dir, name) for name in trainer.get_model_names()])
        trainer.load_model(args.model_dir, epoch=epoch)
        trainer.trained_temperature = temperature_of(args.model_dir)
        trainer.tested = trainer.test()
    elif not args.no_train:
        trainer.train()


def temperature_of(folder: str) -> float | None:
    """Return the temperature on record of the run that trained what is tested; None where there is none."""
    record = (read_record(folder) if folder else None) or {}
    found = (record.get("calibration") or {}).get("temperature")
    return found if number(found) and found > 0 else None


def print_settings(args: argparse.Namespace, builder: ConfigBuilder) -> None:
    """Print arguments, settings with their origins, and environment; on a terminal only name the log that has them."""
    lines = ["***************\n** Arguments **\n***************"]
    lines += [f"{key}: {getattr(args, key)}" for key in sorted(vars(args).keys() - {"record", "grid", "runs"})]
    lines += ["************\n** Config **\n************"]
    lines += [builder.describe(without=nodes_of_others(builder.cfg.TRAINER.NAME))]
    if found := unverified_settings(args, builder):
        lines += [f"unverified: {in_words(found)}"]
    lines += ["Collecting env info ...", f"** System info **\n{collect_env_info()}\n"]
    if isinstance(sys.stdout, Logger) and sys.stdout.file and sys.stdout.isatty():
        sys.stdout.write_to_file("\n".join(lines) + "\n")
        print(f"Settings, each with its origin: {sys.stdout.file.name}")
    else:
        print("\n".join(lines))


def one(args: argparse.Namespace, prepare: Prepare = lambda trainer: None, stop: StopRequest | None = None) -> int:
    """Run one run from its command line to its record; return the exit status.

    Args:
        prepare: sees the trainer once built.
        stop: shared by runs of one process.
    """
    with ExitStack() as until_done:
        try:
            builder = settings_of_run(args)
            check_named(builder)
            if args.device and (device := device_of(args.device)).index is not None:
                torch.cuda.set_device(device)
            compute_as((args.record or {}).get("machine") or {})
            until_done.enter_context(sole_use(builder.cfg.OUTPUT_DIR))
            until_done.enter_context(log_closed())
            record = RunRecord(builder.cfg.OUTPUT_DIR, record_fields(builder, args))
            check_same_kind(record)
            check_same_data(record)
            record.write()
        except FolderInUse as error:
            print(f"error: {error}", file=sys.stderr)
            return IN_USE
        except (UserError, KeyError, OSError) as error:
            print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
            return 2
        return recorded(args, builder, record, prepare, stop or StopRequest())


def recorded(
    args: argparse.Namespace, builder: ConfigBuilder, record: RunRecord, prepare: Prepare, stop: StopRequest
) -> int:
    """Run, record the end whether or not it succeeded, and return the exit status."""
    with stop.listening():
        try:
            with naming_lost_processes():
                run(args, builder, record, prepare, stop)
        except (KeyboardInterrupt, Stopped) as error:
            with stop.held():
                record.interrupted(error)
            print("Interrupted; the same command continues the run.", file=sys.stderr)
            return error.code if isinstance(error, Stopped) else 130
        except BrokenPipeError as error:  # `train.py ... | head`
            with stop.held():
                record.interrupted(error)
            return PIPE_CLOSED
        except BaseException as error:
            with stop.held():  # torchrun, for example, asks a process to end whose partner is gone
                refused = isinstance(error, CheckpointMismatch | ConfigError)  # before the first step
                record.failed(error, refused)
            if (message := for_people(error)) is None:
                raise
            print(f"error: {message}", file=sys.stderr)
            return 1
    return 0


def hold_weights(words: Sequence[str]) -> None:
    """Read ahead what the run of a command line reads, for forks of this process; what is wrong the run itself says."""
    prepare_cpu_memory()
    with suppress(Exception, SystemExit):
        cfg = settings_of_run(parse(words)).cfg
        hold_backbone(cfg, getattr(TRAINER_REGISTRY.get(cfg.TRAINER.NAME), "settings_node", ""))


def together(args: argparse.Namespace) -> int:
    """Several runs in one pass; one that fails leaves the others alone. Returns the highest of their exit statuses."""
    stop = StopRequest()
    phase.stop()

    def prepare(trainer: TrainerBase) -> None:
        if isinstance(trainer, ClipTrainer):
            trainer.computer = WaitingStep()

    def labelled(own: argparse.Namespace) -> int:
        label = os.path.relpath(own.output_dir, args.output_dir or ".")
        sys.stdout = Labelled(sys.stdout, f"[{label}] ")
        try:
            return one(own, prepare, stop)
        except Exception:
            print(f"[{label}] failed:\n{traceback.format_exc()}", file=sys.stderr)
            return 1

    with one_copy_of_weights(), stop.listening():
        return max(in_lockstep([partial(labelled, own) for own in apart(args)], JointPass()))


def distributed(args: argparse.Namespace) -> int:
    """One of the processes that torchrun has started for a run; only the first keeps what it writes and says."""
    if args.seeds:
        print(
            "error: --seeds trains several runs in one process, torchrun one run in several: use one", file=sys.stderr
        )
        return 2
    args.reuse = []  # all processes must do the same, but only the first sees the run's folder
    end_with_parent(os.getppid())  # torchrun, which when killed could not end its processes
    with process_group() as number:
        if number == 0:
            return one(args, distribute)
        given = args.opts
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # outside of the run, so that torchrun leaves time for its record
        with TemporaryDirectory() as scratch, open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            args.opts = [*given, "OUTPUT_DIR", scratch]
            status = one(args, distribute)
        args.opts = given
        if status not in (0, WRONG, IN_USE):
            close_abandoned(settings_of_run(args).cfg.OUTPUT_DIR)
        return status


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse(arguments)
    try:
        load_plugins(args.plugins)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    prepare_cpu_memory()
    phase.begin()
    if started() > 1:
        return distributed(args)
    return together(args) if args.seeds else one(args)


if __name__ == "__main__":
    raise SystemExit(main())
