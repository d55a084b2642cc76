"""Self-contained HTML page: sortable tables, charts, details of runs. It loads nothing from a server."""

from __future__ import annotations

import base64
import hashlib
import platform
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.build_charts import charts
from reports.chart_types import COLOURS
from reports.details import details
from reports.records import RecordedRun, in_no_table
from reports.render.latex import Style, as_latex
from reports.render.text import BEST, Footnotes, as_csv, below, head_beside, own_number, text_beside
from reports.searches import find_searches
from reports.table_types import ALL_COLUMNS, Cell, Table, best_cells
from safeio.escape import for_html, for_script

WEB = Path(__file__).parents[1] / "web"
PARTS = {
    "accuracy": ("accuracy",),
    "deviation and n": ("deviation", "n"),
    "published": ("published",),
    "reported by others": ("reported",),
    "difference": ("difference",),
}
"""Switches of the page -> parts of a cell that each shows."""
SCRIPTS = ("dom.js", "tables.js", "charts.js", "details.js")


def as_html(
    runs: Sequence[RecordedRun],
    tables: Sequence[Table],
    root: Path,
    seeds: Sequence[int] | None = None,
    command: str = "",
    shown: Collection[str] = ALL_COLUMNS,
) -> str:
    """Return the page. Text from records is escaped, and the page's security policy runs no script but its own.

    Args:
        root: the folder that the runs' folders are relative to, for their details.
        command: the command line that made the page.
        shown: parts of the cells that are visible at first, and in the tables to download.
    """
    single, left_out = details(runs, root)
    script = "\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS)
    environment = Environment(
        loader=FileSystemLoader(WEB),
        autoescape=True,
        finalize=lambda value: Markup(for_html(value)) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["for_script"] = lambda content: Markup(for_script(content))
    return environment.get_template("page.html").render(
        tables=[_for_template(table) for table in tables],
        runs=runs,
        searches=find_searches(root),
        complete=sum(run.complete for run in runs),
        summary=_summary(runs),
        noticed=[run for run in runs if run.notices],
        unfinished=[run for run in runs if not run.complete],
        left_out=left_out,
        outside=[run for run in runs if in_no_table(run)],
        origin=_origin(runs, command),
        choices={head: _names(tables, head) for head in ("Dataset", "Method")},
        parts={name: [part for part in parts if part in shown] for name, parts in PARTS.items()},
        data={
            "charts": [asdict(chart) for chart in charts(runs, seeds)],
            "runs": single,
            "colours": COLOURS,
            "files": {table.name: {"csv": as_csv([table], shown), "latex": _latex(table, shown)} for table in tables},
        },
        style=Markup((WEB / "style.css").read_text(encoding="utf-8")),
        script=Markup(f"\n{script}"),
        script_hash=base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode(),
    )


def _latex(table: Table, shown: Collection[str]) -> str:
    """Return a table in the papers' layout: accuracies alone unless other parts were asked for."""
    return as_latex([table], "paper", Style(frozenset({"accuracy"} if set(shown) == ALL_COLUMNS else shown)))


def _origin(runs: Sequence[RecordedRun], command: str) -> str:
    """Return when, by which command and commit, and from runs on which machines the page was made."""
    devices = sorted({run.device for run in runs} - {""})
    facts = {
        "Made": time.strftime("%Y-%m-%d %H:%M %z"),
        "command": command,
        "commit": _commit(),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "runs measured on": ", ".join(devices),
    }
    return "; ".join(f"{name} {value}" for name, value in facts.items() if value)


def _commit() -> str:
    """Return the code's commit, with a + if files differ from it; "" outside a git checkout."""
    try:
        words = ["git", "-C", str(WEB), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _names(tables: Sequence[Table], head: str) -> list[str]:
    """Return every name in the columns under `head`, in order."""
    found = [labels[table.labels.index(head)] for table in tables if head in table.labels for labels, _ in table.rows]
    return list(dict.fromkeys(found))


def _summary(runs: Sequence[RecordedRun]) -> str:
    """Return a sentence on the numbers of methods, datasets and seeds, and the backbones."""
    counted: dict[str, set] = {
        "method": {run.line.method for run in runs},
        "dataset": {run.dataset for run in runs},
        "seed": {run.seed for run in runs},
    }
    counts = [f"{len(names)} {name}{'' if len(names) == 1 else 's'}" for name, names in counted.items()]
    rules = {
        f"{run.record.get('test_classes', '')} ({why})"
        for run in runs
        if (why := run.record.get("test_classes_reason"))
    }
    rule = [f"prediction rule: {'; '.join(sorted(rules))}"] if rules else []
    return ", ".join([*counts, *sorted({run.line.backbone for run in runs} - {""}), *rule])


def _for_template(table: Table) -> dict[str, Any]:
    """Heads and rows with the value to sort by beside the text to show."""
    footnotes, best = Footnotes(), best_cells(table)
    parts = [table.parts_beside(table.column(j)) for j in range(len(table.columns))]
    rows = [
        {"labels": labels, "cells": _cells(cells, table.digits, parts, footnotes, {j for row, j in best if row == i})}
        for i, (labels, cells) in enumerate(table.rows)
    ]
    return {
        "name": table.name,
        "title": table.title,
        "labels": table.labels,
        "columns": [
            {"head": head, "kind": kind, "below": below_head}
            for column, beside in zip(table.columns, parts, strict=True)
            for head, kind, below_head in (
                (column, "own", ""),
                *(_head(table, part, beside) for part in _shown(beside)),
            )
        ],
        "rows": rows,
        "notes": [*below(table, footnotes), *([BEST] if best else [])],
    }


def _cells(
    cells: Sequence[Cell], digits: Sequence[int], parts: Sequence[list[str]], footnotes: Footnotes, best: set[int]
) -> list[dict[str, Any]]:
    found = []
    for i, (cell, places, beside) in enumerate(zip(cells, digits, parts, strict=True)):
        text, rest = own_number(cell, places, footnotes.marks(cell)), ""
        if cell.score.mean is not None:
            text, _, rest = text.partition(" ")
        hint = "; ".join(filter(None, (cell.score.incomplete, *cell.score.notes, *cell.notes)))
        kind = "own incomplete" if cell.score.incomplete else "own"
        own = {"text": text, "rest": rest, "value": cell.score.mean, "hint": hint, "kind": kind, "best": i in best}
        found += [own, *(_beside(cell, part, beside, places) for part in _shown(beside))]
    return [{"rest": "", "best": False, "hint": "", "below": "", **cell} for cell in found]


def _shown(beside: Sequence[str]) -> list[str]:
    """Return the parts with a column of their own: the range of reruns stands below the published result."""
    return [part for part in beside if part != "reported" or "published" not in beside]


def _head(table: Table, part: str, beside: Sequence[str]) -> tuple[str, str, str]:
    """Return a column's head, its kind, and what the head says of the second line of its cells."""
    if part == "published" and "reported" in beside:
        return head_beside(table, part), "beside", "by others"
    return "by others" if part == "reported" else head_beside(table, part), part, ""


def _beside(cell: Cell, part: str, beside: Sequence[str], digits: int) -> dict[str, Any]:
    text, reruns = text_beside(cell, part, digits), text_beside(cell, "reported", digits)
    each = ", ".join(f"{value:.{digits}f}" for value in cell.reruns)
    again = f"reported by others: {each}" if each else ""
    if part == "reported":
        return {"text": text, "value": cell.reruns[0] if cell.reruns else None, "hint": again, "kind": part}
    if part == "difference":
        way = {"+": "up", "-": "down"}.get(text[:1], "")
        return {"text": text, "value": cell.difference, "kind": f"{part} {way}"}
    if "reported" not in beside:
        return {"text": text, "value": cell.beside, "hint": cell.source, "kind": part}
    hint = "; ".join(filter(None, (cell.source, again)))
    return {"text": text, "below": reruns, "value": cell.beside, "hint": hint, "kind": "beside"}
