"""Test a trained run on its own or another dataset, or all runs of a method under a protocol.

`mmrl test METHOD DATASET` runs the test stage of --protocol on the runs of `mmrl train`. `mmrl test RUN_DIR`
tests one run, with `--on DATASET` on another dataset, whose classes are new to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmrl.commands.names import add_dataset
from mmrl.commands.train import add_run_options, carry_out, config_of
from runs.command_line import CommandParser, add_plugins, fail, folder_name, output_folder, settings_apart
from runs.protocol import CONFIGS, PlanError, choose, datasets, load_protocol, plan, read
from runs.record import FILE_NAME, read_record
from runs.request import check_trained
from runs.train_arguments import words_of
from safeio.file_names import own_data_name
from safeio.trees import leaves


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = CommandParser(
        prog="mmrl test",
        description=__doc__,
        usage="mmrl test METHOD DATASET [options] [KEY=VALUE ...]\n       mmrl test RUN_DIR [--on DATASET] [options]",
        example="mmrl test MMRL caltech101_64 --protocol base2new --seed 1",
    )
    parser.add_argument(
        "method",
        metavar="METHOD|RUN_DIR",
        help="a method, whose runs `mmrl train` made, or the folder of a training run",
    )
    add_dataset(parser, nargs="?")
    text = (
        "with METHOD: folder of all runs (default: the variable OUTPUT, or output); with RUN_DIR: folder of this test "
    )
    text += "(default: RUN_DIR-on-DATASET)"
    parser.add_argument("--output", type=folder_name, metavar="DIR", help=text)
    parser.add_argument(
        "--on", metavar="DATASET", help="with RUN_DIR: another dataset to test on; its classes count as unseen"
    )
    add_run_options(parser)
    add_plugins(parser)
    parser.set_defaults(protocol="base2new", output=None)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    words, settings = settings_apart(arguments)
    parser = make_parser()
    args = parser.parse_args(words)
    if (Path(args.method) / FILE_NAME).is_file():
        return test_run(Path(args.method), args.on or args.dataset, args, settings)
    if args.on:
        return fail(f"--on needs the folder of a run, which {args.method} is not: mmrl test RUN_DIR --on DATASET")
    args.output = args.output or output_folder()
    if args.dataset is None:
        return fail(f"{args.method} is no folder of a run; to test a method, name a dataset: mmrl test METHOD DATASET")
    if "test" not in load_protocol(args.protocol)["stages"]:
        raise PlanError(
            f"a training run of {args.protocol} also tests: `mmrl train` shows the result. Or give --protocol base2new."
        )
    own = own_data_name(args.root, args.name or "")
    runs = plan(args.protocol, "test", args.method, args.dataset, args.seeds, [args.shots], config_of(args), own)
    for run in runs:
        check_trained(run, args.protocol, args.output)
    return carry_out(runs, args, settings)


def test_run(folder: Path, dataset: str | None, args: argparse.Namespace, settings: Sequence[str]) -> int:
    """Test one run with its own settings; on another dataset, its classes count as new to the method."""
    import train
    from trainers.base.plugins import load_plugins

    load_plugins(args.plugins)
    record = read_record(folder) or {}
    into = args.output or folder.with_name(f"{folder.name}-on-{dataset or 'own'}")
    words = ["--from-record", str(folder), "--output-dir", str(into)]
    words += ["--plugins", *args.plugins] if args.plugins else []
    if dataset:
        chosen = choose("dataset", dataset, datasets())
        pairs = dict(leaves(read(CONFIGS / "datasets" / f"{chosen}.yaml")))
        pairs |= {"DATASET.SUBSAMPLE_CLASSES": "all", "DATASET.ROOT": args.root}
        if pairs["DATASET.NAME"] != record.get("config", {}).get("DATASET", {}).get("NAME"):
            pairs["TEST.CLASSES"] = "unseen"
        words += [str(word) for pair in pairs.items() for word in pair]
    parsed = train.parse([*words, *words_of(args), *settings])
    parsed.eval_only, parsed.model_dir, parsed.load_epoch = True, str(folder), None
    status = train.one(parsed)
    if status == 0:
        accuracy = (read_record(into) or {}).get("metrics", {}).get("accuracy")
        print(f"\n{folder}" + (f" on {dataset}" if dataset else "") + f": accuracy {accuracy:.1f} %\nfolder: {into}")
    return status
