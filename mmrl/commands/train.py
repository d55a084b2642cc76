"""Train a method on a dataset and test it.

The run has the method's published settings for the protocol; KEY=VALUE changes any of them. A complete run is not
repeated. CoOp's options (--trainer, --config-file, ...) are accepted too.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmrl.commands.names import add_dataset, add_method, add_protocol
from runs import launch
from runs.command_line import (
    CommandParser,
    add_backbone,
    add_device,
    add_output,
    add_own_name,
    add_root,
    add_seeds,
    add_track,
    settings_apart,
)
from runs.names import dataset_name, method_name
from runs.protocol import PlanError, PlannedRun, config_for, plan
from runs.record import COMPLETE, read_record
from runs.request import already_done
from runs.train_arguments import words_of
from safeio.file_names import own_data_name

if TYPE_CHECKING:
    from dassl.config import ConfigBuilder

COOP = ("--trainer", "--config-file", "--dataset-config-file", "--from-record")
"""Options of train.py that say what to run: a command line with one of them is train.py's."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(
        prog="mmrl train",
        description=__doc__,
        usage="mmrl train METHOD DATASET [options] [KEY=VALUE ...]",
        example="mmrl train MMRL caltech101_64 --shots 16 --seed 1 OPTIM.MAX_EPOCH=10",
    )
    add_method(parser)
    add_dataset(parser)
    add_run_options(parser)
    add_output(parser)
    return parser


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what `train` and `test` share."""
    add_protocol(parser, "few_shot")
    parser.add_argument("--shots", type=int, default=16, metavar="N", help="training images of each class")
    add_seeds(parser, "one or more seeds, each a run of its own", default=[1])
    add_root(parser)
    add_own_name(parser)
    add_backbone(parser)
    add_device(parser)
    add_track(parser)
    text = (
        "config file in configs/trainers/METHOD, without .yaml (default: the protocol's); the variable CFG sets it too"
    )
    parser.add_argument("--cfg", default=os.environ.get("CFG") or None, help=text)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    if any(word.partition("=")[0] in COOP for word in arguments):
        import train

        return train.main(arguments)
    words, settings = settings_apart(arguments)
    args = make_parser().parse_args(words)
    launch.check_flags(settings)
    own = own_data_name(args.root, args.name or "")
    runs = plan(args.protocol, "train", args.method, args.dataset, args.seeds, [args.shots], config_of(args), own)
    return carry_out(runs, args, settings)


def carry_out(runs: Sequence[PlannedRun], args: argparse.Namespace, settings: Sequence[str]) -> int:
    """Run what is not complete, each in this process if it is the only one; return the exit status."""
    extra = [*words_of(args), *settings]
    if extra:
        planned_settings(runs[0], args, extra)  # a slip is said of a finished run too
    waiting = []
    for run in runs:
        if already_done(run, args.output, args.root, extra):
            print(f"{args.output / run.folder} is complete: skipped")
            _say(run, args)
        else:
            waiting.append(run)
    if len(waiting) == 1:
        import train

        (run,) = waiting
        status = train.main(run.arguments(args.output, args.root, extra))
        if status == 0:
            _say(run, args)
        return status
    failed = [run for each in waiting for run in launch.execute([each], args.output, args.root, extra)]
    for run in waiting:
        if run not in failed:
            _say(run, args)
    return 1 if failed else 0


def planned_settings(run: PlannedRun, args: argparse.Namespace, extra: Sequence[str]) -> ConfigBuilder:
    """Return the settings that a run would have.

    Raises:
        PlanError: a key that does not exist, or a value that does not fit.
    """
    import train  # loads torch
    from dassl.config import ConfigError

    try:
        return train.settings_of_run(train.parse(run.arguments(args.output, args.root, extra)))
    except (ConfigError, KeyError) as error:
        raise PlanError(error.args[0]) from error


def config_of(args: argparse.Namespace) -> str | None:
    """Return the method's config file: --cfg, or the one for a CLIP inside the package; None for the protocol's."""
    return args.cfg or config_for(args.backbone)


def _say(run: PlannedRun, args: argparse.Namespace) -> None:
    """Print the result of a run and what can be done with it."""
    folder = args.output / run.folder
    record = read_record(folder) or {}
    accuracy = record.get("metrics", {}).get("accuracy")
    untested = "not tested (TEST.NO_TEST)" if record.get("status") == COMPLETE else "no accuracy"
    shown = untested if accuracy is None else f"accuracy {accuracy:.1f} %"
    on = dataset_name(record.get("dataset") or run.dataset)
    print(f"\n{method_name(run.trainer)} on {on}, seed {run.seed}: {shown}\nfolder: {folder}")
    if run.model_folder is None:
        print(f"next:   mmrl predict {folder} IMAGE ...")
