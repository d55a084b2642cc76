"""Tables in the layout of papers: blocks of methods, side by side.

Base-to-novel and few-shot are a block for each dataset, the average first. Cross-dataset and domain generalization are
one block with a column for each dataset, the average last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from reports.records import USUAL_PRESET
from reports.table_types import Cell, Table, ranked_cells
from reports.tables import AVERAGE

HEADS = {"base": "Base", "new": "Novel", "mean H": "mean H"}


@dataclass(frozen=True)
class PaperCell:
    """A cell, its digits, and its place among the methods: 1 for the best, 2 for the second best, else 0."""

    cell: Cell
    digits: int
    place: int = 0


@dataclass(frozen=True)
class Block:
    """Methods in rows, under one title.

    Attributes:
        columns: heads of the columns of numbers.
        rows: (method, cells in the order of the columns).
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, list[PaperCell]]]


@dataclass(frozen=True)
class PaperTable:
    """Blocks under one caption; `table` is what they were made of."""

    table: Table
    blocks: list[Block]


def has_paper_form(table: Table) -> bool:
    """Return whether papers print such a table as blocks of methods; others keep their rows in every layout."""
    return table.labels[0] in ("Dataset", "Method")


def as_paper(table: Table) -> PaperTable:
    """Return a table in the papers' form."""
    places = {place: rank for rank in (1, 2) for place in ranked_cells(table, rank)}
    rows = [
        (labels, [PaperCell(c, table.digits[j], places.get((i, j), 0)) for j, c in enumerate(cells)])
        for i, (labels, cells) in enumerate(table.rows)
    ]
    if table.labels[0] != "Dataset":
        heads = tuple(HEADS.get(column, column) for column in table.columns)
        return PaperTable(table, [Block("", heads, [(" ".join(labels), cells) for labels, cells in rows])])
    by_dataset = [(name, list(of)) for name, of in groupby(rows, key=lambda row: row[0][0])]
    if table.columns == ("accuracy",):
        return PaperTable(table, [_across(table, by_dataset)])
    return PaperTable(table, [_block(table, name, of) for name, of in by_dataset])


def row_name(table: Table, labels: Sequence[str]) -> str:
    """Return the method with what tells its row apart; the usual preset needs no word."""
    columns = zip(table.labels[1:], labels[1:], strict=True)
    return " ".join(word for head, word in columns if word and (head, word) != ("Preset", USUAL_PRESET))


def _block(table: Table, name: str, rows: list[tuple[tuple[str, ...], list[PaperCell]]]) -> Block:
    used = [j for j in range(len(table.columns)) if any(_says_something(cells[j]) for _, cells in rows)]
    heads = tuple(HEADS.get(table.columns[j], table.columns[j]) for j in used)
    return Block(name, heads, [(row_name(table, labels), [cells[j] for j in used]) for labels, cells in rows])


def _says_something(cell: PaperCell) -> bool:
    return cell.cell.score.mean is not None or bool(cell.cell.score.incomplete)


def _across(table: Table, by_dataset: list[tuple[str, list[tuple[tuple[str, ...], list[PaperCell]]]]]) -> Block:
    """Datasets in columns: the sources and targets in order, then the average."""
    ordered = sorted(by_dataset, key=lambda pair: pair[0] == AVERAGE)
    found: dict[str, dict[str, PaperCell]] = {}
    for dataset, rows in ordered:
        for labels, (cell,) in rows:
            found.setdefault(row_name(table, labels), {})[dataset] = cell
    heads = tuple(dataset for dataset, _ in ordered)
    empty = PaperCell(Cell(by_dataset[0][1][0][1][0].cell.score.__class__()), table.digits[0])
    return Block("", heads, [(name, [of.get(head, empty) for head in heads]) for name, of in found.items()])
