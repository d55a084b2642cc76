"""Print how many seconds each method's training and tests took in base-to-novel, from the records of runs.

    python benchmarks/methods.py output/demo

The Markdown table has the processor seconds for a dataset and seed, as the median over datasets and seeds, by the
phases in `run.json`: the steps, the rest of the training run without its test, the test on base classes, the test on
new classes. The record of a continued run lacks its earlier steps, so these columns leave it out. A method that does
not change the image encoder may find the image features of an earlier run; then its test takes no time.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tabulate import tabulate

from runs.names import method_name
from runs.record import COMPLETE, load_record

SOLVED = ("LinearProbe",)
"""Methods that learn without steps."""
COLUMNS = ("steps", "other training", "test of base", "test of new")


def parts(record: dict[str, Any]) -> dict[str, float]:
    """Return processor seconds of a run by column; `steps` only if the record has all its epochs."""
    seconds = {phase: processor for phase, (_, processor) in record["phases"].items()}
    if record["stage"] == "test":
        return {"test of new": sum(seconds.values())}
    tested = seconds.pop("evaluation", 0.0)
    steps, epochs = seconds.pop("steps", None), record["efficiency"].get("train_epochs")
    whole = {"steps": steps} if epochs and epochs >= record["config"]["OPTIM"]["MAX_EPOCH"] else {}
    return whole | {"other training": sum(seconds.values()), "test of base": tested}


def table(records: Iterable[dict[str, Any]]) -> list[list[Any]]:
    """Return a row for each method: its columns and their sum, None where no record has the number."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    learning = set()
    for record in records:
        if record["status"] == COMPLETE and record["protocol"] == "base2new" and record.get("phases"):
            for column, seconds in parts(record).items():
                found[record["method"]][column].append(seconds)
            if record.get("trainable_params") and record["method"] not in SOLVED:
                learning.add(record["method"])
    rows = []
    for method in sorted(found, key=lambda name: method_name(name).lower()):
        cells = [median(found[method][column]) if column in found[method] else None for column in COLUMNS]
        whole = cells[0] is not None or method not in learning
        total = sum(seconds or 0.0 for seconds in cells) if whole else None
        rows.append([method_name(method), *cells, total])
    return rows


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="+", help="folders with runs of base-to-novel")
    args = parser.parse_args()
    rows = table(load_record(file.parent) for folder in args.output for file in sorted(folder.rglob("run.json")))
    if not rows:
        print(f"error: {', '.join(map(str, args.output))}: no complete run of base-to-novel", file=sys.stderr)
        return 1
    heads = ["method", *COLUMNS, "a dataset and seed"]
    print(tabulate(rows, headers=heads, tablefmt="github", floatfmt=".1f", missingval=""))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
