"""Tables as text: for the terminal, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from reports.paper_layout import Block, PaperCell, as_paper, has_paper_form
from reports.table_types import ALL_COLUMNS, BESIDE, OWN, Cell, Table, best_cells
from safeio.escape import for_csv, for_line, for_markdown

INCOMPLETE = "*"
RANGE = "–"
"""Between the lowest and the highest of several numbers."""
REPORTED = (
    "Reported by others: from the lowest to the highest of the groups that ran the method again; one number for each "
    "group, the mean of its runs (sources: reports/published/)."
)
BEST = "Bold: the highest complete number of a dataset."


class Footnotes:
    """Numbers for notes, each note once, in the order of the cells that carry them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def marks(self, cell: Cell, shown: Collection[str] = ALL_COLUMNS) -> list[int]:
        """The numbers of a cell's notes; those on what stands beside it only where any of that is shown."""
        beside = cell.notes if set(BESIDE) & set(shown) else ()
        notes = [note for note in (*cell.score.notes, *beside) if note]
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]
        return [self.notes.index(note) + 1 for note in notes]


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """Fixed digits, thousands separated; empty for None. What rounds to zero has no sign."""
    if value is None:
        return ""
    rounded = round(value, digits)
    return f"{rounded:{'+' if sign and rounded else ''},.{digits}f}" if rounded else f"{0:.{digits}f}"


def head_beside(table: Table, part: str) -> str:
    """Return the head of a column that stands beside a number."""
    return {"published": table.beside, "reported": "reported by others"}.get(part, part)


def text_beside(cell: Cell, part: str, digits: int) -> str:
    """Return what stands beside a number: the published result, the range of reruns, the difference."""
    if part == "reported":
        ends = dict.fromkeys(number(value, digits) for value in (*cell.reruns[:1], *cell.reruns[-1:]))
        return RANGE.join(ends)
    if part == "difference":
        return number(cell.difference, digits, sign=True)
    return number(cell.beside, digits)


def heads(table: Table, shown: Collection[str] = ALL_COLUMNS) -> list[str]:
    """Return the labels, and for each column of numbers the heads of the parts that are shown."""
    found = list(table.labels)
    for j, column in enumerate(table.columns):
        found += column_heads(table, column, table.column(j), shown)
    return found


def column_heads(table: Table, column: str, cells: Sequence[Cell], shown: Collection[str]) -> list[str]:
    """Return the heads of a column of numbers; one that stands alone beside its name keeps the name."""
    beside = [head_beside(table, part) for part in table.parts_beside(cells, shown)]
    if set(OWN) & set(shown):
        return [column, *beside]
    return [f"{column} {head}" for head in beside]


def own_number(cell: Cell, digits: int, marks: Sequence[int] = (), shown: Collection[str] = ALL_COLUMNS) -> str:
    """`85.68 ± 0.12 (n=3)`, with `*` if incomplete; without a number why there is none."""
    score = cell.score
    if score.mean is None:
        return f"({score.incomplete})" if score.incomplete else ""
    deviation = "" if score.deviation is None else f"± {number(score.deviation, digits)}"
    parts = {
        "accuracy": number(score.mean, digits),
        "deviation": deviation,
        "n": f"(n={score.seeds})" if score.seeds else "",
    }
    star = INCOMPLETE if score.incomplete else ""
    notes = "".join(f" [{mark}]" for mark in marks)
    return " ".join(text for key, text in parts.items() if text and key in shown) + star + notes


def lines(
    table: Table,
    footnotes: Footnotes,
    escape: Callable[[str], str] = str,
    strong: Callable[[str], str] = str,
    shown: Collection[str] = ALL_COLUMNS,
) -> list[list[str]]:
    """The rows as strings, in the order of `heads`; `strong` is for the best number of a dataset."""
    best, rows = best_cells(table), []
    parts = [table.parts_beside(table.column(j), shown) for j in range(len(table.columns))]
    for i, (labels, cells) in enumerate(table.rows):
        row = [escape(label) for label in labels]
        for j, (cell, digits) in enumerate(zip(cells, table.digits, strict=True)):
            own, *beside = map(escape, texts(cell, digits, parts[j], footnotes, shown))
            row += [strong(own) if (i, j) in best else own] if set(OWN) & set(shown) else []
            row += beside
        rows.append(row)
    return rows


def texts(cell: Cell, digits: int, parts: Sequence[str], footnotes: Footnotes, shown: Collection[str]) -> list[str]:
    """Return a cell's own number, then what stands beside it; without the first the second has the notes' marks."""
    marks = footnotes.marks(cell, shown)
    beside = [text_beside(cell, part, digits) for part in parts]
    if not set(OWN) & set(shown) and marks and beside:
        beside[0] += "".join(f" [{mark}]" for mark in marks)
    return [own_number(cell, digits, marks, shown), *beside]


def below(table: Table, footnotes: Footnotes, shown: Collection[str] = ALL_COLUMNS) -> list[str]:
    """Return the notes under a table: how to read it, what is incomplete, footnotes, sources."""
    found = [table.caption]
    if any(cell.score.deviation is not None for _, cells in table.rows for cell in cells):
        found[0] += " Mean ± standard deviation (population) over n seeds."
    reasons = {cell.score.incomplete for _, cells in table.rows for cell in cells}
    if reasons - {""}:
        found.append(f"{INCOMPLETE} or (...) incomplete: {', '.join(sorted(reasons - {''}))}.")
    found += [f"[{i}] {note}" for i, note in enumerate(footnotes.notes, start=1)]
    sources = dict.fromkeys(cell.source for _, cells in table.rows for cell in cells if cell.source)
    if sources and {"published", "difference"} & set(shown):
        found.append(f"Published results: {'; '.join(sources)}.")
    if "reported" in shown and any(cell.reruns for _, cells in table.rows for cell in cells):
        found.append(REPORTED)
    return found


def as_terminal(tables: Sequence[Table], layout: str = "records", shown: Collection[str] = ALL_COLUMNS) -> str:
    """Return the tables as text for a terminal."""
    look = Look("simple", "{}", for_line, str, str)
    return "\n".join(_table(table, look, layout, shown) for table in tables)


def as_markdown(tables: Sequence[Table], layout: str = "records", shown: Collection[str] = ALL_COLUMNS) -> str:
    """GitHub's Markdown."""
    look = Look("pipe", "## {}", for_markdown, "**{}**".format, "<u>{}</u>".format)
    return "\n".join(_table(table, look, layout, shown) for table in tables)


def figures_as_markdown(files: Sequence[Path], folder: Path) -> str:
    """Return Markdown for those files that a browser shows, by paths from `folder`, where the text will be."""
    shown = [Path(os.path.relpath(file, folder)).as_posix() for file in files if file.suffix == ".png"]
    return "\n".join(
        [
            "## Figures",
            "",
            *(f"![{for_markdown(Path(path).stem.replace('_', ' '))}]({quote(path)})\n" for path in shown),
            "",
        ]
    )


class Look(NamedTuple):
    """Markup of a format: a grid, a title, text, the best and the second best number."""

    grid: str
    title: str
    escape: Callable[[str], str]
    best: Callable[[str], str]
    second: Callable[[str], str]


def _table(table: Table, look: Look, layout: str, shown: Collection[str]) -> str:
    from tabulate import tabulate

    footnotes = Footnotes()
    if layout == "paper" and has_paper_form(table):
        grids = [_block(table, block, look, shown, footnotes) for block in as_paper(table).blocks]
    else:
        rows, head = lines(table, footnotes, look.escape, look.best, shown), heads(table, shown)
        align = ["left"] * len(table.labels) + ["right"] * (len(head) - len(table.labels))
        grids = [tabulate(rows, head, tablefmt=look.grid, colalign=align, disable_numparse=True)]
    paragraphs = [*below(table, footnotes, shown), *([BEST] if look.best is not str and best_cells(table) else [])]
    notes = "\n\n".join(map(look.escape, paragraphs))
    title = look.title.format(look.escape(table.title))
    return "\n\n".join([title, *grids, notes]) + "\n"


def _block(table: Table, block: Block, look: Look, shown: Collection[str], footnotes: Footnotes) -> str:
    """Return a block of the papers' layout as a grid under its own title."""
    from tabulate import tabulate

    columns = [[cells[j].cell for _, cells in block.rows] for j in range(len(block.columns))]
    parts = [table.parts_beside(cells, shown) for cells in columns]

    def row_of(cells: Sequence[PaperCell]) -> Iterator[str]:
        for own, beside in zip(cells, parts, strict=True):
            said, *others = map(look.escape, texts(own.cell, own.digits, beside, footnotes, shown))
            if set(OWN) & set(shown):
                yield {1: look.best, 2: look.second}.get(own.place, str)(said)
            yield from others

    rows = [[look.escape(name), *row_of(cells)] for name, cells in block.rows]
    heads = [
        head
        for column, cells in zip(block.columns, columns, strict=True)
        for head in column_heads(table, column, cells, shown)
    ]
    align = ["left", *["right"] * len(heads)]
    head = ["Method", *map(look.escape, heads)]
    grid = tabulate(rows, head, tablefmt=look.grid, colalign=align, disable_numparse=True)
    title = look.best(look.escape(block.title)) if block.title else ""
    return f"{title}\n\n{grid}" if title else grid


FIELDS = {
    "mean": "accuracy",
    "deviation": "deviation",
    "seeds": "n",
    "incomplete": "",
    "beside": "published",
    "beside_what": "published",
    "reported_low": "reported",
    "reported_high": "reported",
    "reported_by": "reported",
    "difference": "difference",
    "source": "published",
    "notes": "",
}
"""Columns of the CSV, and the part of a cell that each belongs to; "" is always there."""


def as_csv(tables: Sequence[Table], shown: Collection[str] = ALL_COLUMNS) -> str:
    """One row per number, unrounded; all tables in one file, labels that a table lacks are empty."""
    labels = list(dict.fromkeys(label.lower() for table in tables for label in table.labels))
    out, fields = io.StringIO(), [name for name, part in FIELDS.items() if not part or part in shown]
    heads = ["table", *labels, "metric", *fields]
    writer = csv.DictWriter(out, heads, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for names, cells in table.rows:
            first = {"table": table.name, **dict(zip(map(str.lower, table.labels), names, strict=True))}
            for metric, cell in zip(table.columns, cells, strict=True):
                row = {**first, "metric": metric, **_fields(table, cell)}
                writer.writerow(
                    {key: for_csv(value) if isinstance(value, str) else value for key, value in row.items()}
                )
    return out.getvalue()


def _fields(table: Table, cell: Cell) -> dict[str, object]:
    """Return a cell's values by FIELDS; `reported_by` is the number of groups that ran the method again."""
    score, reruns = cell.score, cell.reruns
    low, high, groups = (reruns[0], reruns[-1], len(reruns)) if reruns else (None, None, None)
    difference = cell.difference if table.differences else None
    values = (score.mean, score.deviation, score.seeds, score.incomplete, cell.beside, table.beside, low, high, groups)
    notes = " ".join((*score.notes, *cell.notes))
    whole = (*values, difference, cell.source, notes)
    return dict(zip(FIELDS, ("" if value is None else value for value in whole), strict=True))
