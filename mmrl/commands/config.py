"""Show the settings of a run of METHOD on DATASET and the origin of each, without starting it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mmrl.commands.names import add_dataset, add_method
from mmrl.commands.train import add_run_options, config_of, planned_settings
from runs.command_line import CommandParser, add_output, settings_apart
from runs.protocol import plan
from runs.train_arguments import words_of
from safeio.trees import leaves


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(
        prog="mmrl config",
        description=__doc__,
        usage="mmrl config METHOD DATASET [options] [KEY=VALUE ...]",
        example="mmrl config MMRL dtd --protocol base2new",
    )
    add_method(parser)
    add_dataset(parser)
    parser.add_argument("--stage", default="train", help="stage of the protocol, such as train or test")
    parser.add_argument("--all", action="store_true", help="also show the settings that have their default")
    add_run_options(parser)
    add_output(parser)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    words, settings = settings_apart(arguments)
    args = make_parser().parse_args(words)
    asked = (args.protocol, args.stage, args.method, args.dataset, args.seeds[:1], [args.shots], config_of(args))
    run = plan(*asked)[0]
    builder = planned_settings(run, args, [*words_of(args), *settings])
    if args.all:
        print(builder.describe())
        return 0
    values = dict(leaves(builder.cfg))
    rows = [(key, str(values[key]), origin) for key, origin in sorted(builder.origins.items()) if key in values]
    widths = [min(48, max(len(row[column]) for row in rows)) for column in (0, 1)]
    print("\n".join(f"{key:{widths[0]}}  {value:{widths[1]}}  {origin}" for key, value, origin in rows))
    return 0
