"""Train and test methods on DATASET by the base-to-novel protocol and print their accuracies side by side.

A run whose record (run.json) says complete is not repeated. The table is also written as a JSON file below --output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runs.command_line import CommandParser, add_backbone, add_output, add_root, add_seeds
from runs.launch import USAGE, execute, options_seeds_rest
from runs.protocol import (
    PlanError,
    PlannedRun,
    choose,
    config_for,
    find_dataset,
    load_protocol,
    methods,
    plan,
    protocols_of,
    stages_of,
)
from runs.table import as_text, base2new_row
from safeio.atomic import atomic_write_json
from safeio.entry import command

PROTOCOL = "base2new"


def make_parser() -> argparse.ArgumentParser:
    """Return the parser; a seed and train.py's arguments follow the dataset."""
    parser = CommandParser(
        prog="mmrl compare",
        description=__doc__,
        usage="%(prog)s DATASET [SEED] [options] [KEY=VALUE ...]",
        example="mmrl compare caltech101_64 1 --methods CoOp MMRL",
    )
    parser.add_argument("dataset", metavar="DATASET", help="dataset, for example dtd; `mmrl list datasets` shows all")
    parser.add_argument(
        "--methods", nargs="+", metavar="METHOD", help="methods to compare (default: all with a base-to-novel protocol)"
    )
    add_seeds(parser, "one seed, also right after DATASET (default: 1)", default=[])
    add_backbone(parser)
    add_output(parser)
    add_root(parser)
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit status says if a run failed."""
    try:
        options, seeds, extra = options_seeds_rest(make_parser(), arguments)
        able = [name for name in methods() if PROTOCOL in protocols_of(name)]
        chosen = [choose("method", name, able) for name in options.methods or able]
        options.dataset = find_dataset(options.dataset)
        if len(seeds) > 1:
            raise PlanError(f"the table has one seed, but {len(seeds)} are given, {seeds}: give one")
        seed = seeds[0] if seeds else 1
        results = options.output / "compare" / f"{options.dataset}-seed{seed}.json"
        cfg = config_for(options.backbone)
        complete = compare(chosen, options.dataset, seed, options.output, results, options.root, extra, cfg)
    except PlanError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if complete else 1


def compare(
    chosen: Sequence[str],
    dataset: str,
    seed: int,
    output: Path,
    results: Path,
    root: str | None = None,
    extra: Sequence[str] = (),
    cfg: str | None = None,
) -> bool:
    """Run what is not complete, print the table, write it as data.

    Args:
        chosen: registry names of methods, in the table's order.
        dataset: a name of configs/datasets.
        output: where the runs' folders go; results: the file for the data.
        root: the folder of the datasets, ./data by default; extra: arguments of train.py for every run.
        cfg: every method's config file, instead of the protocol's.

    Returns:
        Whether every run is complete.

    Raises:
        PlanError: there is no such method or dataset; nothing has been run.
    """
    runs = {
        m: [plan(PROTOCOL, stage, m, dataset, [seed], cfg=cfg)[0] for stage in stages_of(PROTOCOL, m)] for m in chosen
    }
    complete = [run_method(of_one, output, root or "./data", extra) for of_one in runs.values()]
    show(chosen, dataset, seed, output, results, cfg)
    return all(complete)


def show(chosen: Sequence[str], dataset: str, seed: int, output: Path, results: Path, cfg: str | None = None) -> None:
    """Print the table of these methods, whatever of it is complete, and write it as data."""
    rows = [base2new_row(output, method, dataset, seed, cfg) for method in chosen]
    atomic_write_json(results, {"dataset": dataset, "seed": seed, "results": rows})
    (shots,) = load_protocol(PROTOCOL)["shots"]
    print(f"\nBase-to-novel on {dataset}, {shots} shots, seed {seed} (accuracy in %)\n")
    print(as_text(rows))
    print(f"\nThe same numbers as JSON: {results}")


def run_method(runs: Sequence[PlannedRun], output: Path, root: str, extra: Sequence[str]) -> bool:
    """Run a method's runs in order, each only after the one before is complete; return True if all are."""
    try:
        return all(not execute([run], output, root, extra) for run in runs)
    except SystemExit as refused:
        if refused.code != USAGE:
            raise
        return False


if __name__ == "__main__":
    raise SystemExit(main())
