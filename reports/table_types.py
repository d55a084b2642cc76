"""Tables as data: rows of cells, each with its published result. `reports/render/` formats them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from reports.scores import Score

OWN = ("accuracy", "deviation", "n")
"""Parts of a cell that belong to our own result."""
BESIDE = ("published", "reported", "difference")
"""Parts that stand beside it, each in a column: the published result, the range of reruns by others, the difference."""
COLUMNS = (*OWN, *BESIDE)
"""Parts of a cell that can be shown or left out."""
ALL_COLUMNS = frozenset(COLUMNS)


@dataclass(frozen=True)
class Cell:
    """A score and the number it is compared with: the published one, or another run of ours.

    Attributes:
        reruns: what others report of the same method, a number for each of them, in ascending order.
    """

    score: Score
    beside: float | None = None
    source: str = ""
    notes: tuple[str, ...] = ()
    reruns: tuple[float, ...] = ()

    @property
    def difference(self) -> float | None:
        """Ours minus the other; None unless both are there."""
        return None if self.score.mean is None or self.beside is None else self.score.mean - self.beside


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: for command lines, files and anchors.
        labels: heads of the columns that say what a row is; row labels are in this order.
        columns: heads of the columns of numbers; `digits` after the point for each.
        beside: name of the cells' second number.
        higher_is_better: whether it makes sense to look for the best row of a dataset.
        differences: whether the difference between both numbers compares methods.
    """

    name: str
    title: str
    caption: str
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    digits: tuple[int, ...]
    rows: list[tuple[tuple[str, ...], list[Cell]]] = field(default_factory=list)
    beside: str = "published"
    higher_is_better: bool = True
    differences: bool = True

    def parts_beside(self, cells: Iterable[Cell], shown: Collection[str] = ALL_COLUMNS) -> list[str]:
        """Return those of BESIDE that are shown of a column with these cells: none that is empty in all."""
        column = list(cells)
        there = {
            "published": any(cell.beside is not None for cell in column),
            "reported": any(cell.reruns for cell in column),
            "difference": self.differences and any(cell.difference is not None for cell in column),
        }
        return [part for part in BESIDE if part in shown and there[part]]

    def has_beside(self, shown: Collection[str]) -> bool:
        """Return whether any cell has something beside it that is shown."""
        return bool(self.parts_beside((cell for _, cells in self.rows for cell in cells), shown))

    def column(self, j: int) -> list[Cell]:
        """Return the cells of a column of numbers."""
        return [cells[j] for _, cells in self.rows]


def ranked_cells(table: Table, rank: int = 1) -> set[tuple[int, int]]:
    """Return (row, column) of the highest complete numbers of each dataset, or of the second highest for rank 2.

    Ties are included; a dataset with one row has none.
    """
    if not table.higher_is_better:
        return set()
    by_place: dict[tuple[str, int], list[tuple[float, int]]] = defaultdict(list)
    for i, (labels, cells) in enumerate(table.rows):
        for j, (cell, digits) in enumerate(zip(cells, table.digits, strict=True)):
            if cell.score.mean is not None and not cell.score.incomplete:
                by_place[labels[0], j].append((round(cell.score.mean, digits), i))
    found = set()
    for (_, j), values in by_place.items():
        means = sorted({mean for mean, _ in values}, reverse=True)
        if len(values) > 1 and len(means) >= rank:
            found |= {(i, j) for mean, i in values if mean == means[rank - 1]}
    return found


def best_cells(table: Table) -> set[tuple[int, int]]:
    """Return (row, column) of the highest complete number of each dataset."""
    return ranked_cells(table)
