"""Run a protocol for methods, datasets and seeds, or a grid over any setting; complete runs are not repeated.

mmrl sweep base2new --methods MMRL CoOp --datasets all --seeds 1 2 3
mmrl sweep base2new --methods MMRL --datasets dtd --set TRAINER.MMRL.N_REP_TOKENS=1,3,5,7 --dry-run
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runs import reuse
from runs.alike import without_effect
from runs.command_line import (
    CommandParser,
    add_backbone,
    add_device,
    add_output,
    add_own_name,
    add_reuse,
    add_root,
    add_seeds,
    add_track,
    at_least_one,
    settings_apart,
)
from runs.presets import presets
from runs.protocol import PlanError, PlannedRun, config_for, protocols
from runs.record import COMPLETE
from runs.request import already_done
from runs.sweep.grid import parse_grid
from runs.sweep.plan import Request, expand, part_of
from runs.sweep.process import TRAIN
from runs.sweep.progress import Progress
from runs.sweep.scheduler import MISSING, Drive, Executor, State, state_of
from runs.sweep.search import OF_THE_ENGINE, Range, parse_ranges, search
from runs.train_arguments import words_of
from safeio.entry import command
from safeio.file_names import own_data_name

EXAMPLE = "mmrl sweep base2new --methods MMRL MMRL++ --datasets caltech101_64 --seeds 1 2 3"
WRONG = 2
"""Exit status for a wrong command line; nothing has been started."""


def make_parser() -> argparse.ArgumentParser:
    """The command line; docs/sweeps.md explains it."""
    parser = CommandParser(description=__doc__, example=EXAMPLE, usage="%(prog)s PROTOCOL [options] [KEY=VALUE ...]")
    parser.add_argument(
        "protocol", metavar="PROTOCOL", help=f"evaluation protocol or ablation: {', '.join(protocols())}"
    )
    what = parser.add_argument_group("runs")
    text = "methods, or all (`mmrl list methods`); an ablation has its own by default"
    what.add_argument("--methods", nargs="+", default=[], metavar="METHOD", help=text)
    text = "datasets (`mmrl list datasets`), or all: those of the protocol"
    what.add_argument("--datasets", nargs="+", default=[], metavar="DATASET", help=text)
    add_seeds(what, "seeds, each a run of its own (default: the protocol's)", default=[])
    text = "training images of each class; several: a run for each (default: the protocol's)"
    what.add_argument("--shots", nargs="+", type=int, default=[], metavar="N", help=text)
    text = f"sets of settings to run, of: {', '.join(presets())} (what they are: configs/presets.yaml)"
    what.add_argument("--preset", nargs="+", default=["paper"], metavar="PRESET", help=text)
    text = "run every combination of these values of settings"
    what.add_argument("--set", nargs="+", default=[], action="extend", metavar="KEY=VALUE,VALUE", help=text)
    text = "run only the I-th of N groups of runs (for N machines); a test is in the group of its training"
    what.add_argument("--shard", metavar="I/N", help=text)
    what.add_argument("--retry-failed", action="store_true", help="also repeat runs that failed")
    text = "instead of a grid: try N settings of one run (Optuna) and compare them on validation images"
    what.add_argument("--search", type=at_least_one, metavar="N", help=text)
    what.add_argument(
        "--range",
        nargs="+",
        default=[],
        metavar="KEY[=LOW..HIGH[:log]]",
        help="with --search: settings to search and their ranges; KEY alone: its declared range (default: the learning "
        "rate and all settings whose method declares a range)",
    )
    add_reuse(what)
    how = parser.add_argument_group("execution")
    how.add_argument("--dry-run", action="store_true", help="print the runs and their states, run nothing")
    how.add_argument(
        "--print-commands", action="store_true", help="print a command for each run that is not complete, run nothing"
    )
    add_root(how)
    add_own_name(how)
    add_output(how)
    add_backbone(how)
    add_device(how)
    add_track(how)
    how.add_argument("--executor", choices=["local", "ray"], default="local", help="this machine, or a Ray cluster")
    how.add_argument("--workers", type=at_least_one, default=1, metavar="N", help="local: number of runs at a time")
    text = "local: GPUs to deal out to the workers, as in CUDA_VISIBLE_DEVICES (default: all visible ones)"
    how.add_argument("--gpus", nargs="+", metavar="GPU", help=text)
    how.add_argument(
        "--address",
        help="ray: address of the cluster; auto: the one this machine is in (default: a cluster of this machine only)",
    )
    text = "ray: number of GPUs of each run; 0.5 lets two runs share one (default: 0)"
    how.add_argument("--gpus-per-run", type=float, default=0, metavar="N", help=text)
    how.add_argument("--cpus-per-run", type=float, default=1, metavar="N", help="ray: number of CPU cores of each run")
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0: all complete, 1: runs are missing, 2: wrong words, 130 or 143: stopped."""
    parser = make_parser()
    try:
        words, settings = settings_apart(sys.argv[1:] if arguments is None else arguments, owners=("--set", "--range"))
    except PlanError as error:
        parser.error(str(error))
    args = parser.parse_args(words)
    args.set += [f"{key}={value}" for key, value in zip(settings[::2], settings[1::2], strict=True)]
    try:
        runs = planned(args)
        for run in runs:
            already_done(run, args.output, args.root, words_of(args))  # refuses what others left there
        if args.search or args.range:
            return run_search(args, runs)
        executor = None if args.dry_run or args.print_commands else make_executor(args)
    except PlanError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG
    if executor:
        if not ready(args, runs, getattr(executor, "warm_up", None)):  # the local executor's
            executor.close()
            return WRONG
        return execute(args, runs, executor)
    states = {run.folder: state_of(args.output / run.folder) for run in runs}
    if args.print_commands:
        for run in runs:
            if states[run.folder].status != COMPLETE:
                print(shlex.join(["python", *command_of(run, args)]))
        return 0
    for run in runs:
        behind = f"   tests {run.model_folder}" if run.model_folder else ""
        if args.reuse and states[run.folder].status != COMPLETE:
            behind += "".join(f"   perhaps copied from {each}" for each in reuse.candidates(run, args.output))
        print(f"{states[run.folder].status:<11} {run.folder}{behind}")
    print(summary(states))
    return 0


def run_search(args: argparse.Namespace, runs: Sequence[PlannedRun]) -> int:
    """Search the settings of the one run that trains, and print the trials; returns the exit status.

    Raises:
        PlanError: it is not one run, or the ranges are wrong.
    """
    from tabulate import tabulate

    trained = [run for run in runs if run.model_folder is None]
    if len(trained) != 1:
        raise PlanError(f"--search is for one run, not for {len(trained)}: name one method, dataset, seed and --shots.")
    if args.reuse:
        raise PlanError("--reuse copies runs of protocols; the trials of --search are none of them: leave it out.")
    if not args.search:
        raise PlanError("--range needs --search N, the number of trials: give it too.")
    ranges = parse_ranges(args.range, declared_ranges(trained[0].trainer))
    check_ranges(args, trained[0], ranges)
    if not ready(args, trained):
        return WRONG
    print("searched: " + ", ".join(f"{key} {each}" for key, each in ranges.items()))
    found = search(trained[0], args.search, ranges, args.output, args.root, extra=words_of(args))
    print(tabulate(found, headers="keys", floatfmt=".4g"))
    chosen = " ".join(f"{key}={value:.4g}" for key, value in found[0].items() if "." in key)
    print(f"\nbest on validation images: {chosen}")
    return 0


def declared_ranges(method: str) -> dict[str, str]:
    """Return the ranges to search by key: the engine's settings, and those that the method declares."""
    import train  # noqa: F401  (registers the methods; loads torch)
    from dassl.engine import TRAINER_REGISTRY

    trainer = TRAINER_REGISTRY.get(method)
    own = {f"TRAINER.{trainer.settings_node}.{name}": setting.searched for name, setting in trainer.declared.items()}
    return {**OF_THE_ENGINE, **{key: each for key, each in own.items() if each}}


def command_of(run: PlannedRun, args: argparse.Namespace) -> list[str]:
    """Return the arguments of `python` for one run, valid in any working folder: a cluster's machine has another."""
    root = Path(args.root).expanduser().absolute()
    output = args.output.absolute()
    reused = reuse.words(run, output) if args.reuse else []
    return [*TRAIN, *run.arguments(output, str(root), words_of(args)), *reused]


def planned(args: argparse.Namespace) -> list[PlannedRun]:
    """The runs that the command line asks for.

    Raises:
        PlanError: a name or value in it is wrong.
    """
    grid = parse_grid(args.set)
    own = own_data_name(args.root, args.name or "")
    asked = (args.protocol, args.methods, args.datasets, args.seeds, args.shots, args.preset, grid, own)
    runs = expand(Request(*asked, config_for(args.backbone)))
    if grid:
        check_values(args, runs)
    if not args.shard:
        return runs
    part = re.fullmatch(r"(\d+)/(\d+)", args.shard)
    if not part or not 1 <= int(part[1]) <= int(part[2]):
        raise PlanError(f"--shard takes I/N with I from 1 to N, such as 1/8; this is {args.shard!r}.")
    return part_of(runs, int(part[1]), int(part[2]))


def check_values(args: argparse.Namespace, runs: Sequence[PlannedRun]) -> None:
    """Resolve the settings of one run for each combination of values, so that a typing error costs nothing.

    Raises:
        PlanError: a key that does not exist or a value that does not fit.
    """
    distinct = {(run.trainer, run.cfg, str(run.swept)): run for run in runs}
    warnings: dict[str, None] = {}
    for run in distinct.values():
        warnings |= dict.fromkeys(in_vain(run, planned_settings(args, run, "--set")))
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def check_ranges(args: argparse.Namespace, run: PlannedRun, ranges: Mapping[str, Range]) -> None:
    """Check the settings of a run at both ends of each range.

    Raises:
        PlanError: a key that does not exist or a value that does not fit.
    """
    for end in ("low", "high"):
        values = {key: int(getattr(each, end)) if each.whole else getattr(each, end) for key, each in ranges.items()}
        planned_settings(args, replace(run, options={**run.options, **values}), "--range")


def planned_settings(args: argparse.Namespace, run: PlannedRun, option: str) -> Any:
    """Return the settings that a run would have.

    Raises:
        PlanError: a key that does not exist or a value that does not fit; the message begins with `option`.
    """
    import train  # loads torch
    from dassl.config import ConfigError

    try:
        return train.settings_of_run(train.parse(run.arguments(args.output, args.root, words_of(args)))).cfg
    except (ConfigError, KeyError) as error:
        raise PlanError(f"{option}: {error.args[0]}") from error


def ready(
    args: argparse.Namespace, runs: Sequence[PlannedRun], warm_up: Callable[[Sequence[str]], None] | None = None
) -> bool:
    """Look at the settings, data and weights of all runs that are not complete; say each cause of trouble once.

    Args:
        warm_up: called with the first run's command, to get ready for it meanwhile.
    """
    waiting = [run for run in runs if state_of(args.output / run.folder).status != COMPLETE]
    if not waiting:
        return True
    if warm_up:
        warm_up(command_of(waiting[0], args))
    import train  # loads torch
    from dassl.config import ConfigError

    found: dict[str, int] = {}
    builders = []
    for run in waiting:
        try:
            builders.append(train.settings_of_run(train.parse(run.arguments(args.output, args.root, words_of(args)))))
        except (ConfigError, KeyError) as error:
            found[str(error.args[0])] = found.get(str(error.args[0]), 0) + 1
    for message, count in {**found, **train.problems(builders, here=args.executor == "local")}.items():
        print(f"error: {message} ({count} of {len(waiting)} runs need it; nothing was started)", file=sys.stderr)
        found[message] = count
    return not found


def in_vain(run: PlannedRun, settings: Any) -> Iterator[str]:
    """Yield the swept settings that the method does not read, by its own declaration."""
    from dassl.engine import TRAINER_REGISTRY

    trainer = TRAINER_REGISTRY.get(run.trainer)
    if hasattr(trainer, "method_class"):  # a CoOp-style plugin has none
        node = trainer.settings_node
        for name, why in trainer.method_class.unread(settings.TRAINER.get(node)).items():
            if (key := f"TRAINER.{node}.{name}") in run.swept:
                yield f"{key} changes nothing in {run.trainer}: {why}."


def make_executor(args: argparse.Namespace) -> Executor:
    """Return the executor of the runs.

    Raises:
        PlanError: it is not installed, or there is no such cluster.
    """
    if args.executor == "ray":
        from runs.sweep.ray_cluster import RayExecutor

        return RayExecutor(args.address, args.gpus_per_run, args.cpus_per_run)
    from runs.sweep.local import LocalExecutor, visible_gpus

    return LocalExecutor(args.workers, args.gpus or (visible_gpus() if args.workers > 1 else ()))


def execute(args: argparse.Namespace, runs: Sequence[PlannedRun], executor: Executor) -> int:
    """Run what is not complete and say what is missing; returns the exit status."""
    output = args.output.absolute()
    before = {run.folder: state_of(output / run.folder) for run in runs}
    progress = Progress(runs, before, output, executor.width, args.retry_failed)
    drive = Drive(
        runs,
        output,
        lambda run: command_of(run, args),
        executor,
        progress,
        args.retry_failed,
        lambda run: already_done(run, output, args.root, words_of(args)),
    )
    try:
        states = drive.run()
    finally:
        progress.close()
        executor.close()
    print(summary(states))
    missing = {folder: state for folder, state in states.items() if state.status != COMPLETE}
    for folder, state in missing.items():
        if state.status != MISSING or state.why:  # one that was never reached needs no line
            print(f"{state.status:<11} {args.output / folder}: {state.why}", file=sys.stderr)
    passed_over = {} if args.retry_failed else missing
    if any(before[folder] == state for folder, state in passed_over.items() if state.status == "failed"):
        print("--retry-failed repeats the runs that failed earlier.", file=sys.stderr)
    for key, method in without_effect(runs, output):
        print(f"note: {key} made no difference to {method}, its results are the same for all values.", file=sys.stderr)
    if drive.stop.signum:
        return 128 + drive.stop.signum
    return 1 if missing else 0


def summary(states: Mapping[str, State]) -> str:
    """Return the number of runs in each state."""
    counts = Counter(state.status for state in states.values())
    return f"{len(states)} runs: " + ", ".join(f"{count} {status}" for status, count in counts.most_common())


if __name__ == "__main__":
    raise SystemExit(main())
