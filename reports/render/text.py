"""Tables as text: for the terminal, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from reports.paper_layout import Block, PaperCell, as_paper
from reports.table_types import ALL_COLUMNS, Cell, Table, best_cells
from safeio.escape import for_csv, for_markdown, for_terminal

OWN = {"accuracy", "deviation", "n"}
INCOMPLETE = "*"
BEST = "Bold: the highest complete number of a dataset."


class Footnotes:
    """Numbers for notes, each note once, in the order of the cells that carry them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def marks(self, cell: Cell) -> list[int]:
        """The numbers of a cell's notes."""
        notes = [note for note in (*cell.score.notes, *cell.notes) if note]
        self.notes += [note for note in dict.fromkeys(notes) if note not in self.notes]
        return [self.notes.index(note) + 1 for note in notes]


def number(value: float | None, digits: int, sign: bool = False) -> str:
    """Fixed digits, thousands separated; empty for None. What rounds to zero has no sign."""
    if value is None:
        return ""
    rounded = round(value, digits)
    return f"{rounded:{'+' if sign and rounded else ''},.{digits}f}" if rounded else f"{0:.{digits}f}"


def compared_columns(table: Table) -> list[bool]:
    """For each column whether any cell has something beside it; the others need no columns for that."""
    return [any(cells[i].beside is not None for _, cells in table.rows) for i in range(len(table.columns))]


def heads(table: Table, shown: Collection[str] = ALL_COLUMNS) -> list[str]:
    """Labels, and for each column of numbers the heads of the parts that are shown."""
    found = list(table.labels)
    for column, compared in zip(table.columns, compared_columns(table), strict=True):
        both = {"published": table.beside, "difference": "difference"} if compared else {}
        found += [column] if OWN & set(shown) else []
        found += [head for key, head in both.items() if key in shown]
    return found


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
    compared, best, rows = compared_columns(table), best_cells(table), []
    for i, (labels, cells) in enumerate(table.rows):
        row = [escape(label) for label in labels]
        for j, (cell, digits, both) in enumerate(zip(cells, table.digits, compared, strict=True)):
            own = escape(own_number(cell, digits, footnotes.marks(cell), shown))
            row += [strong(own) if (i, j) in best else own] if OWN & set(shown) else []
            beside = {
                "published": number(cell.beside, digits),
                "difference": number(cell.difference, digits, sign=True),
            }
            row += [text for key, text in beside.items() if both and key in shown]
        rows.append(row)
    return rows


def below(table: Table, footnotes: Footnotes, shown: Collection[str] = ALL_COLUMNS) -> list[str]:
    """What stands under a table: how to read it, what is incomplete, footnotes, sources."""
    found = [f"{table.caption} Mean ± standard deviation (population) over n seeds."]
    reasons = {cell.score.incomplete for _, cells in table.rows for cell in cells}
    if reasons - {""}:
        found.append(f"{INCOMPLETE} or (...) incomplete: {', '.join(sorted(reasons - {''}))}.")
    found += [f"[{i}] {note}" for i, note in enumerate(footnotes.notes, start=1)]
    sources = dict.fromkeys(cell.source for _, cells in table.rows for cell in cells if cell.source)
    if sources and {"published", "difference"} & set(shown):
        found.append(f"Published figures: {'; '.join(sources)}.")
    return found


def as_terminal(tables: Sequence[Table], layout: str = "records", shown: Collection[str] = ALL_COLUMNS) -> str:
    """For reading in a terminal."""
    look = Look("simple", "{}", for_terminal, str, str)
    return "\n".join(_table(table, look, layout, shown) for table in tables)


def as_markdown(tables: Sequence[Table], layout: str = "records", shown: Collection[str] = ALL_COLUMNS) -> str:
    """GitHub's Markdown."""
    look = Look("pipe", "## {}", for_markdown, "**{}**".format, "<u>{}</u>".format)
    return "\n".join(_table(table, look, layout, shown) for table in tables)


def figures_as_markdown(files: Sequence[Path], folder: Path) -> str:
    """Those of these files that a browser shows, by paths from `folder`, where the text will be."""
    shown = [Path(os.path.relpath(file, folder)).as_posix() for file in files if file.suffix == ".png"]
    return "\n".join(["## Figures", "", *(f"![{Path(path).stem.replace('_', ' ')}]({path})\n" for path in shown), ""])


class Look(NamedTuple):
    """How a format writes a grid, a title, text, the best and the second best number."""

    grid: str
    title: str
    escape: Callable[[str], str]
    best: Callable[[str], str]
    second: Callable[[str], str]


def _table(table: Table, look: Look, layout: str, shown: Collection[str]) -> str:
    from tabulate import tabulate

    footnotes = Footnotes()
    if layout == "paper":
        grids = [_block(block, look, shown, footnotes) for block in as_paper(table).blocks]
    else:
        rows, head = lines(table, footnotes, look.escape, look.best, shown), heads(table, shown)
        align = ["left"] * len(table.labels) + ["right"] * (len(head) - len(table.labels))
        grids = [tabulate(rows, head, tablefmt=look.grid, colalign=align, disable_numparse=True)]
    told = [*below(table, footnotes, shown), *([BEST] if look.best is not str and best_cells(table) else [])]
    notes = "\n\n".join(map(look.escape, told))
    title = look.title.format(look.escape(table.title))
    return "\n\n".join([title, *grids, notes]) + "\n"


def _block(block: Block, look: Look, shown: Collection[str], footnotes: Footnotes) -> str:
    """Return a block of the papers' layout as a grid under its own title."""
    from tabulate import tabulate

    def text(own: PaperCell) -> str:
        said = look.escape(own_number(own.cell, own.digits, footnotes.marks(own.cell), shown))
        return {1: look.best, 2: look.second}.get(own.place, str)(said)

    rows = [[look.escape(name), *map(text, cells)] for name, cells in block.rows]
    head = ["Method", *map(look.escape, block.columns)]
    align = ["left", *["right"] * len(block.columns)]
    grid = tabulate(rows, head, tablefmt=look.grid, colalign=align, disable_numparse=True)
    title = look.best(look.escape(block.title)) if block.title else ""
    return f"{title}\n\n{grid}" if title else grid


FIELDS = ("mean", "deviation", "seeds", "incomplete", "beside", "beside_what", "difference", "source", "notes")


def as_csv(tables: Sequence[Table]) -> str:
    """One row per number, unrounded; all tables in one file, labels that a table lacks are empty."""
    labels = list(dict.fromkeys(label.lower() for table in tables for label in table.labels))
    out = io.StringIO()
    writer = csv.DictWriter(out, ["table", *labels, "metric", *FIELDS], restval="", lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for names, cells in table.rows:
            first = {"table": table.name, **dict(zip(map(str.lower, table.labels), map(for_csv, names), strict=True))}
            for metric, cell in zip(table.columns, cells, strict=True):
                writer.writerow({**first, "metric": metric, **_fields(table, cell)})
    return out.getvalue()


def _fields(table: Table, cell: Cell) -> dict[str, object]:
    score = cell.score
    values = (score.mean, score.deviation, score.seeds, score.incomplete, cell.beside, table.beside, cell.difference)
    notes = " ".join((*score.notes, *cell.notes))
    return dict(
        zip(FIELDS, ("" if v is None else v for v in (*values, for_csv(cell.source), for_csv(notes))), strict=True)
    )
