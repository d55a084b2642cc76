"""CoOp's and MMRL's options, which train.py takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runs.command_line import CommandParser, add_backbone, add_device, add_track, settings_apart
from runs.protocol import PlanError

EXAMPLE = (
    "python train.py --root DATA --trainer MMRL --dataset-config-file configs/datasets/imagenet.yaml \\\n"
    "    --config-file configs/trainers/MMRL/vit_b16_imagenet.yaml --output-dir OUT --seed 1 OPTIM.MAX_EPOCH=5"
)


def make_parser() -> argparse.ArgumentParser:
    """CoOp's and MMRL's flags; None where a flag is not given."""
    parser = CommandParser(
        description="Train or test one method on one dataset. Settings follow as KEY=VALUE or KEY VALUE.",
        example=EXAMPLE,
    )
    parser.add_argument("--root", help="folder that holds the datasets")
    parser.add_argument("--name", help="of own images (dataset folder) in folders, records and reports")
    parser.add_argument("--output-dir", "--output", help="folder of this run")
    parser.add_argument("--resume", help="folder to resume from")
    parser.add_argument("--seed", type=int, help="0 or more seeds every random generator")
    parser.add_argument(
        "--seeds", type=int, nargs="+", help="train these seeds in one pass, each in OUTPUT_DIR/seed<number>"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE,VALUE", help="with --seeds: also each of these values"
    )
    parser.add_argument("--source-domains", nargs="+", help="domains to train on")
    parser.add_argument("--target-domains", nargs="+", help="domains to test on")
    parser.add_argument("--transforms", nargs="+", help="training transforms")
    parser.add_argument("--config-file", default="", help="yaml of the method")
    parser.add_argument("--dataset-config-file", default="", help="yaml of the dataset")
    parser.add_argument("--trainer", default="", help="registry name of the method")
    parser.add_argument(
        "--plugins",
        nargs="+",
        action="extend",
        default=[],
        metavar="PATH",
        help="trainer files of your own or of others, or folders of them",
    )
    add_backbone(parser)
    add_device(parser)
    parser.add_argument("--head", help="head of one of Dassl's simple networks")
    parser.add_argument("--eval-only", action="store_true", help="test the checkpoint in --model-dir")
    parser.add_argument("--model-dir", default="", help="run whose checkpoint is tested")
    parser.add_argument("--load-epoch", type=int, help="epoch of that checkpoint")
    parser.add_argument("--no-cache", action="store_true", help="keep no test crops on disk and no images in memory")
    parser.add_argument("--from-record", help="repeat the run that left this run.json, by default into FOLDER-again")
    add_track(parser)
    parser.add_argument("--deterministic", action="store_true", help="on a GPU the same numbers in every run; slower")
    parser.add_argument("--no-train", action="store_true", help="build everything, train nothing")
    parser.add_argument("--train-epoch", type=int, help="number of epochs")
    return parser


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
