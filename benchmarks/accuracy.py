"""Compare the demonstration's accuracies with the committed ones, to find changes that break learning.

    python benchmarks/accuracy.py             train and compare; exit status 1 if a method is out of its range
    python benchmarks/accuracy.py --write     train and write the accuracies to compare with

CoOp, MaPLe, MMRL and MMRL++ train base-to-novel on the embedded photographs and CLIP with seeds 1 and 2: some minutes
on two cores. A method's mean over the seeds may differ from the committed mean by ROOM points, or by as much as its
seeds differ. CoOp gains less than a point in this budget: its rows show only that it is not below zero-shot CLIP. On
the same processor, with the same number of threads and the same Pillow, the accuracies repeat exactly;
elsewhere they are rounded differently. The committed accuracies were measured with Pillow 13 and one thread; with
Pillow 12.3 the means differed by up to 0.6 points.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parent.parent))

COMMITTED = Path(__file__).with_suffix(".json")


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output", type=Path, help="folder of the runs, where complete ones are not repeated (default: temporary)"
    )
    parser.add_argument("--write", action="store_true", help=f"write {COMMITTED.name} instead of comparing with it")
    return parser


if __name__ == "__main__":  # --help and a wrong option are answered before torch is loaded
    make_parser().parse_args()

from tabulate import tabulate

import sweep
from runs.record import COMPLETE, read_record

METHODS, SEEDS, DATASET = ("CoOp", "MaPLe", "MMRL", "MMRLpp"), (1, 2), "caltech101_64"
PARTS = ("base", "new")
ROOM = 1.0  # points

Accuracies = dict[str, dict[str, list[float]]]
"""Method -> base or new -> accuracy (%) by seed."""


def main() -> int:
    """Train, then write or compare."""
    args = make_parser().parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        output = args.output or Path(temporary)
        words = ["base2new", "--methods", *METHODS, "--datasets", DATASET, "--seeds", *map(str, SEEDS)]
        if status := sweep.main([*words, "--output", str(output)]):
            return status
        found = accuracies(output)
    if args.write:
        COMMITTED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return 0
    return compare(json.loads(COMMITTED.read_text(encoding="utf-8")), found)


def accuracies(output: Path) -> Accuracies:
    """Return the accuracies of the complete runs below a folder."""
    records = [record for file in sorted(output.rglob("run.json")) if (record := read_record(file.parent))]
    found: dict[str, dict[str, dict[int, float]]] = {}
    for record in records:
        if record["status"] == COMPLETE and record["method"] in METHODS and record["seed"] in SEEDS:
            parts = found.setdefault(record["method"], {})
            parts.setdefault(record["subsample_classes"], {})[record["seed"]] = record["metrics"]["accuracy"]
    return {
        method: {part: [round(found[method][part][seed], 2) for seed in SEEDS] for part in PARTS} for method in METHODS
    }


def compare(committed: Accuracies, found: Accuracies) -> int:
    """Print a row for each method and part; return 1 if any is out of its range."""
    rows, outside = [], 0
    for method in METHODS:
        for part in PARTS:
            before, now = committed[method][part], found[method][part]
            room = max(ROOM, max(before) - min(before))
            difference = mean(now) - mean(before)
            outside += abs(difference) > room
            verdict = "OUT OF RANGE" if abs(difference) > room else "as before"
            rows.append([method, part, mean(before), mean(now), difference, room, verdict])
    heads = ["method", "classes", "committed", "now", "difference", "allowed", ""]
    print(tabulate(rows, headers=heads, floatfmt=".2f"))
    return int(bool(outside))


if __name__ == "__main__":
    raise SystemExit(main())
