"""CoOp's and MMRL's options, which train.py takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runs.command_line import CommandParser, add_backbone, add_device, add_track, settings_apart
from runs.protocol import PlanError

DESCRIPTION = """Train or test one method on one dataset, with CoOp's command line.

Settings are given as KEY=VALUE or KEY VALUE. An option that is left out leaves its setting to the yaml files.
"""
EXAMPLE = (
    "python train.py --root DATA --trainer MMRL --dataset-config-file configs/datasets/imagenet.yaml \\\n"
    "    --config-file configs/trainers/MMRL/vit_b16_imagenet.yaml --output-dir OUT --seed 1 OPTIM.MAX_EPOCH=5"
)


def make_parser() -> argparse.ArgumentParser:
    """CoOp's and MMRL's flags; None where a flag is not given."""
    parser = CommandParser(
        usage="%(prog)s [options] [KEY=VALUE ...]",
        description=DESCRIPTION,
        example=EXAMPLE,
    )
    parser.add_argument("--root", metavar="DIR", help="folder that holds the datasets' folders (setting DATASET.ROOT)")
    parser.add_argument("--name", help="for your own images (dataset folder): their name in records and reports")
    parser.add_argument(
        "--output-dir", "--output", metavar="DIR", help="folder of this run (setting OUTPUT_DIR, default: ./output)"
    )
    parser.add_argument("--resume", metavar="DIR", help="run folder to continue from (default: --output-dir)")
    parser.add_argument("--seed", type=int, help="seed of all random generators; negative: they are not seeded")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        metavar="N",
        help="train these seeds at once, each into DIR/seedN of --output-dir",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE,VALUE",
        help="with --seeds: a run for each of these values too; may be repeated",
    )
    parser.add_argument(
        "--source-domains", nargs="+", metavar="NAME", help="for datasets with domains: those to train on"
    )
    parser.add_argument(
        "--target-domains", nargs="+", metavar="NAME", help="for datasets with domains: those to test on"
    )
    parser.add_argument(
        "--transforms", nargs="+", metavar="NAME", help="training transforms (setting INPUT.TRANSFORMS)"
    )
    parser.add_argument("--config-file", default="", metavar="YAML", help="settings of the method")
    parser.add_argument("--dataset-config-file", default="", metavar="YAML", help="settings of the dataset")
    parser.add_argument("--trainer", default="", metavar="METHOD", help="method, as `mmrl list methods` names it")
    parser.add_argument(
        "--plugins",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="Python files with further trainers, or folders of such files",
    )
    add_backbone(parser)
    add_device(parser)
    _add_kind_of_run(parser)
    return parser


def _add_kind_of_run(parser: argparse.ArgumentParser) -> None:
    """Add the options for a test, a repetition and other runs that do more or less than train."""
    parser.add_argument(
        "--head", metavar="NAME", help="for Dassl's simple networks: the head (setting MODEL.HEAD.NAME)"
    )
    parser.add_argument(
        "--reuse",
        action="append",
        default=[],
        metavar="RUN_DIR",
        help="a complete run to copy instead of training, if its settings, seed and data are the same; may be repeated",
    )
    parser.add_argument("--eval-only", action="store_true", help="test the checkpoint in --model-dir, without training")
    parser.add_argument("--model-dir", default="", metavar="DIR", help="with --eval-only: folder of the trained run")
    parser.add_argument(
        "--load-epoch",
        type=int,
        metavar="N",
        help="with --eval-only: checkpoint of epoch N (default: best or last one)",
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="keep no preprocessed test images on disk and no decoded images in memory",
    )
    parser.add_argument(
        "--from-record",
        metavar="RUN_DIR",
        help="repeat a run with the settings of its run.json (default of --output-dir: RUN_DIR-again)",
    )
    add_track(parser)
    parser.add_argument("--deterministic", action="store_true", help="on a GPU: equal numbers in every run; slower")
    parser.add_argument("--no-train", action="store_true", help="build data and model, but do not train")
    parser.add_argument(
        "--train-epoch", type=int, metavar="N", help="number of training epochs (setting OPTIM.MAX_EPOCH)"
    )


def words_of(args: argparse.Namespace) -> list[str]:
    """Return train.py's words for what other commands take under the same names: --backbone, --device and --track."""
    words = ["--backbone", args.backbone] if args.backbone else []
    words += ["--device", args.device] if args.device else []
    return words + (["--track", *args.track] if args.track else [])


def parse_words(arguments: Sequence[str] | None = None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Return the parser and what it read; in `opts` the KEY, VALUE pairs, after words that nothing takes."""
    parser = make_parser()
    try:
        words, settings = settings_apart(sys.argv[1:] if arguments is None else arguments, owners=("--set",))
    except PlanError as error:
        parser.error(str(error))
    args, left = parser.parse_known_args(words)
    args.opts = [*left, *settings]
    return parser, args
