"""One self-contained HTML page: sortable tables, charts, details of runs. It asks nothing of any server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.charts import charts
from reports.details import details
from reports.records import Run, in_no_table
from reports.tables import Cell, Table
from reports.text import Footnotes, below, compared_columns, number, own_number

WEB = Path(__file__).parent / "web"
SCRIPTS = ("dom.js", "tables.js", "charts.js", "details.js")


def as_html(runs: Sequence[Run], tables: Sequence[Table], root: Path, seeds: Sequence[int] | None = None) -> str:
    """The page. What comes from records is escaped, and the page's policy runs no script but its own.

    Args:
        root: the folder that the runs' folders are relative to, for their details.
    """
    shown, left_out = details(runs, root)
    script = "\n".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS)
    environment = Environment(
        loader=FileSystemLoader(WEB), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {}  # keys stay in their order
    return environment.get_template("page.html").render(
        tables=[_for_template(table) for table in tables],
        runs=runs,
        complete=sum(run.complete for run in runs),
        unfinished=[run for run in runs if not run.complete],
        left_out=left_out,
        outside=[run for run in runs if in_no_table(run)],
        data={"charts": [asdict(chart) for chart in charts(runs, seeds)], "runs": shown},
        style=Markup((WEB / "style.css").read_text(encoding="utf-8")),
        script=Markup(f"\n{script}"),
        script_sum=base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode(),
    )


def _for_template(table: Table) -> dict[str, Any]:
    """Heads and rows with the value to sort by beside the text to show."""
    footnotes, compared = Footnotes(), compared_columns(table)
    rows = [{"labels": labels, "cells": _cells(table, cells, compared, footnotes)} for labels, cells in table.rows]
    return {
        "name": table.name,
        "title": table.title,
        "labels": table.labels,
        "columns": [
            head
            for column, both in zip(table.columns, compared, strict=True)
            for head in ([column, table.beside, "difference"] if both else [column])
        ],
        "rows": rows,
        "notes": below(table, footnotes),
    }


def _cells(table: Table, cells: Sequence[Cell], compared: Sequence[bool], footnotes: Footnotes) -> list[dict[str, Any]]:
    shown = []
    for cell, digits, both in zip(cells, table.digits, compared, strict=True):
        marks = footnotes.marks(cell)
        told = "; ".join(filter(None, (cell.score.incomplete, *cell.score.notes, *cell.notes)))
        kind = "incomplete" if cell.score.incomplete else ""
        shown.append({"text": own_number(cell, digits, marks), "value": cell.score.mean, "told": told, "kind": kind})
        if both:
            beside, difference = number(cell.beside, digits), number(cell.difference, digits, sign=True)
            shown.append({"text": beside, "value": cell.beside, "told": cell.source, "kind": "other"})
            shown.append({"text": difference, "value": cell.difference, "told": "", "kind": "difference"})
    return shown
