"""One run: settings, trainer, training or testing, record. CoOp's command line.

python train.py --root DATA --trainer MMRL --dataset-config-file configs/datasets/imagenet.yaml \
    --config-file configs/trainers/MMRL/vit_b16_imagenet.yaml --output-dir OUT --seed 1 [KEY VALUE ...]
"""

from __future__ import annotations

import argparse
import difflib
import platform
import sys
from collections.abc import Sequence

import torch

import datasets  # noqa: F401  (registers the datasets)
import trainers  # noqa: F401  (registers the methods)
from dassl.config import ConfigBuilder, ConfigError
from dassl.engine import build_trainer
from dassl.engine.stop import Stopped
from dassl.utils import collect_env_info, set_random_seed, setup_logger
from runs.record import RunRecord, set_aside_log
from trainers._settings import resolve


def make_parser() -> argparse.ArgumentParser:
    """CoOp's and MMRL's flags; None where a flag is not given."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--root", help="folder that holds the datasets")
    parser.add_argument("--output-dir", help="folder of this run")
    parser.add_argument("--resume", help="folder to resume from")
    parser.add_argument("--seed", type=int, help="0 or more seeds every random generator")
    parser.add_argument("--source-domains", nargs="+")
    parser.add_argument("--target-domains", nargs="+")
    parser.add_argument("--transforms", nargs="+", help="training transforms")
    parser.add_argument("--config-file", default="", help="yaml of the method")
    parser.add_argument("--dataset-config-file", default="", help="yaml of the dataset")
    parser.add_argument("--trainer", default="", help="registry name of the method")
    parser.add_argument("--backbone", help="name of a CLIP or path of its weights")
    parser.add_argument("--head")
    parser.add_argument("--eval-only", action="store_true", help="test the checkpoint in --model-dir")
    parser.add_argument("--model-dir", default="", help="run whose checkpoint is tested")
    parser.add_argument("--load-epoch", type=int, help="epoch of that checkpoint")
    parser.add_argument("--no-cache", action="store_true", help="no evaluation crops on disk, no pictures in memory")
    parser.add_argument("--no-train", action="store_true", help="build everything, train nothing")
    parser.add_argument("--train-epoch", type=int, help="number of epochs")
    return parser


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Flags in any order; what is left over are KEY VALUE pairs."""
    parser = make_parser()
    args, args.opts = parser.parse_known_args(arguments)
    for word in args.opts:
        if word.startswith("--"):
            known = [flag for action in parser._actions for flag in action.option_strings]
            near = difflib.get_close_matches(word, known, 1)
            parser.error(f"unknown flag {word}" + (f", did you mean {near[0]}?" if near else ""))
    if len(args.opts) % 2:
        parser.error(f"settings come in pairs KEY VALUE, but there are {len(args.opts)} words: {args.opts}")
    return args


def record_fields(builder: ConfigBuilder) -> dict:
    """What a record says of a run before it starts."""
    cfg = builder.cfg
    return {
        "method": cfg.TRAINER.NAME,
        "dataset": cfg.DATASET.NAME,
        "task": cfg.TASK,
        "subsample_classes": cfg.DATASET.SUBSAMPLE_CLASSES,
        "role": cfg.TEST.ROLE,
        "shots": cfg.DATASET.NUM_SHOTS,
        "seed": cfg.SEED,
        "backbone": cfg.MODEL.BACKBONE.NAME,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "config": builder.plain(),
        "origins": builder.origins,
    }


def run(args: argparse.Namespace, builder: ConfigBuilder, record: RunRecord) -> None:
    """Train or test, and put the outcome on record."""
    cfg = builder.cfg
    if cfg.SEED >= 0:
        print(f"Setting fixed seed: {cfg.SEED}")
        set_random_seed(cfg.SEED)
    set_aside_log(cfg.OUTPUT_DIR)
    setup_logger(cfg.OUTPUT_DIR)
    if torch.cuda.is_available() and cfg.USE_CUDA:
        torch.backends.cudnn.benchmark = True
    print_settings(args, builder)
    trainer = build_trainer(cfg)
    if args.eval_only:
        trainer.load_model(args.model_dir, epoch=args.load_epoch)
        trainer.test()
    elif not args.no_train:
        trainer.train()
    results = dict(getattr(trainer.evaluator, "last_results", None) or {})
    if results or args.no_train:
        metrics = {"error" if name == "error_rate" else name: value for name, value in results.items()}
        learned = [p for name in trainer.get_model_names() for p in trainer._models[name].parameters()]
        record.complete(
            metrics,
            trainable_params=sum(p.numel() for p in learned if p.requires_grad),
            skipped_steps=getattr(trainer, "skipped_steps", 0),
        )


def print_settings(args: argparse.Namespace, builder: ConfigBuilder) -> None:
    """The head of the log: arguments, settings with their origins, environment."""
    print("***************\n** Arguments **\n***************")
    for key in sorted(vars(args)):
        print(f"{key}: {getattr(args, key)}")
    print("************\n** Config **\n************")
    print(builder.describe())
    print("Collecting env info ...")
    print(f"** System info **\n{collect_env_info()}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    args = parse(arguments)
    try:
        builder = resolve(args)
        record = RunRecord(builder.cfg.OUTPUT_DIR, record_fields(builder))
        record.write()
    except (ConfigError, KeyError, OSError) as error:
        print(f"error: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 2
    try:
        run(args, builder, record)
    except (KeyboardInterrupt, Stopped) as error:
        record.failed(error)
        print("Interrupted; the same command continues the run.", file=sys.stderr)
        return error.code if isinstance(error, Stopped) else 130
    except BaseException as error:
        record.failed(error)
        raise
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
