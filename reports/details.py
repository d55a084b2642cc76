"""Details in a run's folder beside its record: the losses of its epochs, and its confusions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports.records import RecordedRun
from runs.names import dataset_name
from safeio.errors import MissingFile
from safeio.read_back import DamagedFile, check_shape, number, read_json, say

CURVE, CONFUSION = "curve.json", "confusion.json"
COUNTS = {"classes": [str], "counts": [(int, int, int)]}
PAIRS = 2000
"""Most frequent confusions kept of a run with more."""
BUDGET = 12 * 2**20
"""Characters of details in one page; runs beyond are named, without details."""


def confusions(content: Any) -> bool:
    """classes, and counts of pairs of them"""
    check_shape(content, COUNTS)
    labels = [label for *pair, _ in content["counts"] for label in pair]
    return all(0 <= label < len(content["classes"]) for label in labels)


def details(runs: Sequence[RecordedRun], root: Path, budget: int = BUDGET) -> tuple[list[dict[str, Any]], int]:
    """Details of the complete runs that have any, in order, and how many did not fit in the budget."""
    found, left_out = [], 0
    for run in runs:
        one = of_run(run, root) if run.complete else None
        if one is None:
            continue
        size = len(json.dumps(one))
        if size > budget:
            left_out += 1
            continue
        budget -= size
        found.append(one)
    return found, left_out


def of_run(run: RecordedRun, root: Path) -> dict[str, Any] | None:
    """`label`, `folder`, `curve`, `classes`, `correct`, `total`, `pairs`; None if the run kept neither file.

    `correct` and `total` are counts by class; `pairs` are [true, predicted, count] of wrong predictions, most frequent
    first; lists are empty where the file is missing or not as it should be.
    """
    curve, confusion = _read(root / run.folder / CURVE, [dict]), _read(root / run.folder / CONFUSION, confusions)
    rows = [row for row in curve if isinstance(row, dict)] if isinstance(curve, list) else []
    counted = _counted(confusion)
    if not rows and not counted["classes"]:
        return None
    parts = (
        run.line.label(),
        run.line.preset,
        dataset_name(run.dataset),
        run.part,
        f"{run.shots} shots",
        f"seed {run.seed}",
    )
    return {
        "label": ", ".join(filter(None, parts)),
        "folder": run.folder,
        "accuracy": run.accuracy,
        "curve": [{k: v for k, v in row.items() if v is None or number(v)} for row in rows],
        **counted,
    }


def _counted(content: dict[str, Any] | None) -> dict[str, list]:
    if content is None:
        return {"classes": [], "correct": [], "total": [], "pairs": []}
    classes, counts = content["classes"], content["counts"]
    correct, total = [0] * len(classes), [0] * len(classes)
    for true, predicted, count in counts:
        total[true] += count
        correct[true] += count * (true == predicted)
    wrong = Counter({(true, predicted): count for true, predicted, count in counts if true != predicted})
    pairs = [[*pair, count] for pair, count in wrong.most_common(PAIRS)]
    return {"classes": classes, "correct": correct, "total": total, "pairs": pairs}


def _read(path: Path, shape: Any) -> Any:
    """Return the file's content; None where there is no such file, or a damaged one, which gets a warning."""
    try:
        return read_json(path, shape)
    except MissingFile:
        return None
    except DamagedFile as error:
        say(f"{error} The page shows the run without it.")
        return None
