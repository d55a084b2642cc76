"""Tables as text: for the terminal, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from reports.tables import Cell, Table, best_cells

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


def heads(table: Table) -> list[str]:
    """Labels, and for each column of numbers one to three heads."""
    found = list(table.labels)
    for column, compared in zip(table.columns, compared_columns(table), strict=True):
        found += [column, table.beside, "difference"] if compared else [column]
    return found


def own_number(cell: Cell, digits: int, marks: Sequence[int] = ()) -> str:
    """`85.68 ± 0.12 (n=3)`, with `*` if incomplete; without a number why there is none."""
    score = cell.score
    if score.mean is None:
        return f"({score.incomplete})" if score.incomplete else ""
    deviation = "" if score.deviation is None else f" ± {number(score.deviation, digits)}"
    star = INCOMPLETE if score.incomplete else ""
    notes = "".join(f" [{mark}]" for mark in marks)
    return f"{number(score.mean, digits)}{deviation} (n={score.seeds}){star}{notes}"


def lines(
    table: Table, footnotes: Footnotes, escape: Callable[[str], str] = str, strong: Callable[[str], str] = str
) -> list[list[str]]:
    """The rows as strings, in the order of `heads`; `strong` is for the best number of a dataset."""
    compared, best, rows = compared_columns(table), best_cells(table), []
    for i, (labels, cells) in enumerate(table.rows):
        row = [escape(label) for label in labels]
        for j, (cell, digits, both) in enumerate(zip(cells, table.digits, compared, strict=True)):
            own = escape(own_number(cell, digits, footnotes.marks(cell)))
            row.append(strong(own) if (i, j) in best else own)
            if both:
                row += [number(cell.beside, digits), number(cell.difference, digits, sign=True)]
        rows.append(row)
    return rows


def below(table: Table, footnotes: Footnotes) -> list[str]:
    """What stands under a table: how to read it, what is incomplete, footnotes, sources."""
    found = [f"{table.caption} Mean ± standard deviation (population) over n seeds."]
    reasons = {cell.score.incomplete for _, cells in table.rows for cell in cells}
    if reasons - {""}:
        found.append(f"{INCOMPLETE} or (...) incomplete: {', '.join(sorted(reasons - {''}))}.")
    found += [f"[{i}] {note}" for i, note in enumerate(footnotes.notes, start=1)]
    if sources := dict.fromkeys(cell.source for _, cells in table.rows for cell in cells if cell.source):
        found.append(f"Published figures: {'; '.join(sources)}.")
    return found


def as_terminal(tables: Sequence[Table]) -> str:
    """For reading in a terminal."""
    return "\n".join(_grid(table, "simple", table.title, str, str) for table in tables)


def as_markdown(tables: Sequence[Table]) -> str:
    """GitHub's Markdown."""
    return "\n".join(_grid(table, "pipe", f"## {table.title}", escape_markdown, "**{}**".format) for table in tables)


def figures_as_markdown(files: Sequence[Path], folder: Path) -> str:
    """Those of these files that a browser shows, by paths from `folder`, where the text will be."""
    shown = [Path(os.path.relpath(file, folder)).as_posix() for file in files if file.suffix == ".png"]
    return "\n".join(["## Figures", "", *(f"![{Path(path).stem.replace('_', ' ')}]({path})\n" for path in shown), ""])


def _grid(table: Table, style: str, title: str, escape: Callable[[str], str], strong: Callable[[str], str]) -> str:
    from tabulate import tabulate

    footnotes = Footnotes()
    rows = lines(table, footnotes, escape, strong)
    align = ["left"] * len(table.labels) + ["right"] * (len(heads(table)) - len(table.labels))
    grid = tabulate(rows, heads(table), tablefmt=style, colalign=align, disable_numparse=True)
    told = [*below(table, footnotes), *([BEST] if strong is not str and best_cells(table) else [])]
    notes = "\n\n".join(map(escape, told))
    return f"{title}\n\n{grid}\n\n{notes}\n"


def escape_markdown(text: str) -> str:
    """Characters that would end a cell, start markup or HTML."""
    for character in "\\|`*_<>[]":
        text = text.replace(character, f"\\{character}" if character not in "<>" else f"&#{ord(character)};")
    return " ".join(text.split())


FIELDS = ("mean", "deviation", "seeds", "incomplete", "beside", "beside_what", "difference", "source", "notes")


def as_csv(tables: Sequence[Table]) -> str:
    """One row per number, unrounded; all tables in one file, labels that a table lacks are empty."""
    labels = list(dict.fromkeys(label.lower() for table in tables for label in table.labels))
    out = io.StringIO()
    writer = csv.DictWriter(out, ["table", *labels, "metric", *FIELDS], restval="", lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for names, cells in table.rows:
            first = {"table": table.name, **dict(zip(map(str.lower, table.labels), names, strict=True))}
            for metric, cell in zip(table.columns, cells, strict=True):
                writer.writerow({**first, "metric": metric, **_fields(table, cell)})
    return out.getvalue()


def _fields(table: Table, cell: Cell) -> dict[str, object]:
    score = cell.score
    values = (score.mean, score.deviation, score.seeds, score.incomplete, cell.beside, table.beside, cell.difference)
    notes = " ".join((*score.notes, *cell.notes))
    return dict(zip(FIELDS, ("" if v is None else v for v in (*values, cell.source, notes)), strict=True))
