"""Print mean and standard deviation of a result over seeds, read from log.txt files, with CoOp's command line.

    python parse_test_res.py output/.../CoOp/vit_b16               # training logs below seed1, seed2, ...
    python parse_test_res.py output/.../CoOp/vit_b16 --test-log    # logs of --eval-only runs
    python parse_test_res.py output/... --multi-exp                # one level more: the mean over experiments

The deviation is the population's, as CoOp computes it. The records of runs (run.json) hold the same numbers unrounded,
and `mmrl report` makes tables of them: this command is for logs of other projects, and for those who know it from CoOp.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import sys
from pathlib import Path

from safeio.entry import command

AFTER_TRAINING = ("Finish training", "Finished training")  # current and older wording
AFTER_TEST = ("=> result",)


def read_result(log: Path, keyword: str, signals: tuple[str, ...]) -> float | None:
    """The last ``* KEYWORD: NUMBER%`` after the first line that equals one of ``signals``; or None."""
    pattern = re.compile(rf"\* {re.escape(keyword)}: ([+-]?\d+\.?\d*(?:[eE][+-]?\d+)?)%")
    result, started = None, False
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in map(str.strip, lines):
            started = started or line in signals
            found = pattern.search(line) if started else None
            if found and math.isfinite(float(found[1])):  # a damaged log may have any number of digits
                result = float(found[1])
    return result


def run_folders(directory: Path) -> list[Path]:
    """Sub-folders that are not hidden, by name. Plain files beside them are no runs."""
    return sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))


def why_missing(log: Path, keyword: str, test_log: bool) -> str:
    """Return the message about a run without a result."""
    if not log.is_file():
        return "there is no such file"
    if not test_log and read_result(log, keyword, AFTER_TEST) is not None:
        return "training did not finish; if it is an evaluation log, use --test-log"
    return f"no {keyword} in it; the run did not finish"


def parse_directory(directory: Path, keyword: str, ci95: bool, test_log: bool) -> float | None:
    """Print each run's result and the summary; return the mean, None without any result."""
    values: list[float] = []
    missing: list[str] = []
    runs = run_folders(directory)
    for run in runs:
        log = run / "log.txt"
        value = read_result(log, keyword, AFTER_TEST if test_log else AFTER_TRAINING) if log.is_file() else None
        if value is None:
            missing.append(run.name)
            print(f"NO RESULT in {log}: {why_missing(log, keyword, test_log)}")
        else:
            values.append(value)
            print(f"file: {log}. {keyword}: {value:.2f}%. ")
    print(f"===\nSummary of directory: {directory}")
    if values:
        spread = statistics.pstdev(values)
        if ci95:
            spread *= 1.96 / len(values) ** 0.5
        print(f"* {keyword}: {statistics.fmean(values):.2f}% +- {spread:.2f}%")
    print(f"runs with a result: {len(values)} of {len(runs)}" + (f", missing: {', '.join(missing)}" if missing else ""))
    print("===")
    return statistics.fmean(values) if values else None


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="folder with a folder for each seed, each with a log.txt")
    parser.add_argument(
        "--ci95",
        action="store_true",
        help="print half the width of the 95 %% confidence interval, 1.96 deviations / sqrt(seeds)",
    )
    parser.add_argument(
        "--test-log", action="store_true", help="read logs of tests without training (train.py --eval-only)"
    )
    parser.add_argument(
        "--multi-exp",
        action="store_true",
        help="the folder holds several such folders: print each, and the mean over them",
    )
    parser.add_argument(
        "--keyword",
        default="accuracy",
        help="name of the result in the log, such as accuracy or macro_f1 (default: accuracy)",
    )
    arguments = parser.parse_args(argv)
    if not arguments.directory.is_dir():
        parser.error(f"there is no folder {arguments.directory}")
    return arguments


@command
def main(argv: list[str] | None = None) -> int:
    """Exit code 0 if there was any result, else 1."""
    args = parse_arguments(argv)
    folders = run_folders(args.directory) if args.multi_exp else [args.directory]
    means = [parse_directory(folder, args.keyword, args.ci95, args.test_log) for folder in folders]
    found = [mean for mean in means if mean is not None]
    if args.multi_exp and found:
        print(f"Average performance\n* {args.keyword}: {statistics.fmean(found):.2f}%")
        print(f"experiments with a result: {len(found)} of {len(means)}")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
