"""The tables as data: rows of cells, each beside its published figure. How they look is in `reports/render/`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from reports.scores import Score

COLUMNS = ("accuracy", "deviation", "n", "published", "difference")
"""Parts of a cell that can be shown or left out."""
ALL_COLUMNS = frozenset(COLUMNS)


@dataclass(frozen=True)
class Cell:
    """A score and what it is beside: the published figure, or another run of ours."""

    score: Score
    beside: float | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

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
        columns: heads of the columns of numbers; `digits` behind the point for each.
        beside: what the cells' second number is.
        higher_is_better: whether it makes sense to look for the best row of a dataset.
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
