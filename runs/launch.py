"""Run one stage of a protocol for one method and dataset, for example the training of base-to-novel.

The scripts in scripts/<method>/ call this command. A run whose record (run.json) says complete is skipped; an
unfinished one is continued. Further words go to train.py as they are.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from runs import reuse
from runs.command_line import (
    CommandParser,
    add_backbone,
    add_output,
    add_own_name,
    add_reuse,
    add_root,
    add_seeds,
    settings_apart,
)
from runs.joint import arguments, groups_alike
from runs.protocol import PlanError, PlannedRun, config_for, plan
from runs.record import COMPLETE, is_complete, read_record
from runs.request import already_done, check_trained
from runs.sweep.process import PROJECT, TRAIN, ending_with_this
from safeio.entry import command
from safeio.file_names import own_data_name

DECIDED = {
    "--output-dir": "use --output or OUTPUT for another place",
    "DATASET.NUM_SHOTS": "use --shots N",
}
LONGEST_NUMBER = 18
"""Digits of a seed or a number of shots, which fit 64 bits."""
USAGE = 2
"""Exit status of train.py where the command line or a setting is wrong and nothing was started."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; seeds and train.py's arguments follow the dataset."""
    parser = CommandParser(
        prog="mmrl launch",
        description=__doc__,
        usage="%(prog)s PROTOCOL STAGE METHOD DATASET [SEED ...] [options] [KEY=VALUE ...]",
        example="mmrl launch base2new train MMRL caltech101_64 1 --shots 4",
    )
    parser.add_argument("protocol", metavar="PROTOCOL", help="evaluation protocol; `mmrl list protocols` shows all")
    parser.add_argument("stage", metavar="STAGE", help="stage of the protocol, such as train or test")
    parser.add_argument("trainer", metavar="METHOD", help="method, for example MMRL; `mmrl list methods` shows all")
    parser.add_argument("dataset", metavar="DATASET", help="dataset, for example dtd; `mmrl list datasets` shows all")
    text = (
        "config file in configs/trainers/METHOD, without .yaml (default: the protocol's); the variable CFG sets it too"
    )
    parser.add_argument("--cfg", default=os.environ.get("CFG") or None, help=text)
    text = "training images of each class; several: a run for each (default: the protocol's)"
    parser.add_argument("--shots", nargs="+", default=[], metavar="N", help=text)
    add_seeds(parser, "one or more seeds, also right after DATASET (default: the protocol's)", default=[])
    add_backbone(parser)
    parser.add_argument("--together", action="store_true", help="train all seeds at once, in one process")
    add_reuse(parser)
    add_output(parser)
    add_root(parser)
    add_own_name(parser)
    return parser


@command
def main(words: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; returns the exit status."""
    try:
        options, seeds, extra = options_seeds_rest(make_parser(), words)
        root = options.root
        shots, rest = leading_numbers(options.shots, "--shots")
        own = own_data_name(root, options.name or "")
        cfg = options.cfg or config_for(options.backbone)
        runs = plan(options.protocol, options.stage, options.trainer, options.dataset, seeds, shots, cfg, own)
        for run in runs:
            check_trained(run, options.protocol, options.output)
        groups = groups_alike(runs) if options.together else [[run] for run in runs]
        extra += rest
        failed = [run for group in groups for run in execute(group, options.output, root, extra, options.reuse)]
    except PlanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for group in dict.fromkeys((options.output / run.folder).parent for run in runs):
        summarise(group)
    for run in failed:
        record = read_record(options.output / run.folder) or {}
        print(f"FAILED {options.output / run.folder}: {record.get('failure', 'see its log.txt')}", file=sys.stderr)
    return 1 if failed else 0


def options_seeds_rest(
    parser: argparse.ArgumentParser, words: Sequence[str] | None
) -> tuple[argparse.Namespace, list[int], list[str]]:
    """Return the parsed options, the seeds (after the dataset or of --seed), and the words for train.py.

    Raises:
        PlanError: seeds in both places, something else in the place of a seed, or a flag that is decided here.
    """
    others, settings = settings_apart(sys.argv[1:] if words is None else words)
    options, rest = parser.parse_known_args(others)
    seeds, rest = leading_numbers(rest, "the seed")
    if seeds and options.seeds:
        raise PlanError("The seeds are given twice, after the dataset and with --seed: give them once.")
    check_flags([*rest, *settings])
    backbone = ["--backbone", options.backbone] if options.backbone else []
    return options, seeds or options.seeds, [*backbone, *rest, *settings]


def leading_numbers(words: Sequence[str], what: str) -> tuple[list[int], list[str]]:
    """The whole numbers that `words` begin with, and the flags and KEY VALUE pairs after them.

    Raises:
        PlanError: there is something else in the place of a number.
    """
    numbers = list(takewhile(lambda word: word.isdecimal() and len(word) <= LONGEST_NUMBER, words))
    rest = list(words[len(numbers) :])
    if rest and not re.match(r"--|[A-Z]", rest[0]):
        found = f"{rest[0]!r:.60}"
        raise PlanError(f"{found} stands where {what} is expected: give a whole number, KEY VALUE pairs or options.")
    return [int(number) for number in numbers], rest


def check_flags(words: Sequence[str]) -> None:
    """Refuse flags and settings that contradict the run's folder, whose name the command decides.

    Raises:
        PlanError: there is one; the message says what to use.
    """
    for flag, instead in DECIDED.items():
        if any(word.split("=")[0] == flag for word in words):
            raise PlanError(f"{flag} cannot be given here, because the run's folder is named after it; {instead}.")


def execute(
    runs: Sequence[PlannedRun], output: Path, root: str, extra: Sequence[str], reusing: bool = False
) -> list[PlannedRun]:
    """Run train.py for one run, or several that train together, unless complete; return those still incomplete.

    Args:
        reusing: offer train.py the complete runs of other protocols that may be the same training.
    """
    missing = []
    for run in runs:
        if already_done(run, output, root, extra):
            print(f"{output / run.folder} is complete: skipped", flush=True)
        else:
            missing.append(run)
    if not missing:
        return []
    words = arguments(missing, output.absolute(), root, extra)
    if reusing:
        words += [word for run in missing for word in reuse.words(run, output.absolute())]
    print("$", shlex.join(["python", "train.py", *words]), flush=True)
    status = wait_for(subprocess.Popen(ending_with_this([*TRAIN, *words])))
    if status == USAGE:
        raise SystemExit(status)  # train.py has said what is wrong with the arguments; so it is for the other runs
    if status < 0 or status in (130, 143):  # killed or interrupted: whoever did that wants the rest to stop too
        raise SystemExit(status if status > 0 else 128 - status)
    failed = [run for run in missing if not is_complete(output / run.folder)]
    if status and any((read_record(output / run.folder) or {}).get("built") is False for run in failed):
        raise SystemExit(USAGE)  # data or weights: what train.py has said holds for the other runs too
    return failed


def wait_for(process: subprocess.Popen) -> int:
    """Return a process's exit status. After Ctrl-C, which reaches the process too, wait until it has recorded that."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def summarise(group: Path) -> None:
    """Print mean and deviation over the seeds in a folder, from their logs, as CoOp's scripts do at the end."""
    records = [record for folder in group.glob("*/") if (record := read_record(folder))]
    if records and all(record.get("status") == COMPLETE and not record.get("metrics") for record in records):
        print(f"{group}: {len(records)} runs complete, none tested (TEST.NO_TEST)")
        return
    subprocess.run([sys.executable, str(PROJECT / "parse_test_res.py"), str(group), "--test-log"], check=False)


if __name__ == "__main__":
    raise SystemExit(main())
