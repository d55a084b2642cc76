"""The base-to-novel table of run records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runs.protocol import plan, stages_of
from runs.record import COMPLETE, read_record


def harmonic_mean(base: float, new: float) -> float:
    """2 / (1/base + 1/new); 0 where either is 0."""
    return 2 * base * new / (base + new) if base and new else 0.0


def base2new_row(output: Path, trainer: str, dataset: str, seed: int, cfg: str | None = None) -> dict[str, Any]:
    """One method's results for one seed and config file; None where a run is missing or not complete."""
    found: dict[str, dict[str, Any] | None] = {}
    for stage in stages_of("base2new", trainer):
        (run,) = plan("base2new", stage, trainer, dataset, [seed], cfg=cfg)
        record = read_record(output / run.folder)
        found[stage] = record if record and record["status"] == COMPLETE else None
    train, test, runs = found["train"], found.get("test"), [record for record in found.values() if record]
    base, new = (record["metrics"].get("accuracy") if record else None for record in (train, test))
    return {
        "method": trainer,
        "base": base,
        "new": new,
        "H": None if base is None or new is None else harmonic_mean(base, new),
        "trainable_params": train and train["trainable_params"],
        "seconds": round(sum(run["timing"]["seconds"] for run in runs), 1) if len(runs) == len(found) else None,
    }


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table for the terminal; a missing cell is a dash."""
    from tabulate import tabulate

    heads = {"trainable_params": "trainable parameters"}
    shown = [{heads.get(k, k): v for k, v in row.items()} for row in rows]
    return tabulate(shown, headers="keys", tablefmt="github", floatfmt=".1f", intfmt=",", missingval="-")
