"""Parts of a chart: points over seeds, lines of them, panels beside one another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reports.scores import Score

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8c564b", "#7f7f7f")
"""Colours of lines; neighbours also differ in brightness, for readers who see no colours. Shapes change each round."""


@dataclass(frozen=True)
class Point:
    """A result at `x`; deviations over the seeds are None for one seed, `x_deviation` also where x is no result."""

    x: float
    y: float
    deviation: float | None
    seeds: int
    incomplete: str = ""
    x_deviation: float | None = None


@dataclass(frozen=True)
class Series:
    """A line of a chart, or one method's point of a scatter plot.

    Attributes:
        style: number of its colour and shape, the same in all charts of a report.
        star: whether it is one point at no shots, drawn as a star.
    """

    label: str
    points: list[Point]
    style: int = 0
    star: bool = False


@dataclass(frozen=True)
class Chart:
    """One panel.

    Attributes:
        kind: few_shot, scatter or ablation.
        group: title of the figure; charts of one kind and group are panels of it.
        name: title of the panel; empty where the figure has no other.
        ticks: for values that are no numbers: their names, at 0, 1, ...; else empty.
        doubling: whether x is better shown by its logarithm (1, 2, 4, 8, 16 shots).
        of_one_method: whether the lines are columns of one method's table instead of methods.
    """

    kind: str
    group: str
    name: str
    x: str
    y: str
    series: list[Series] = field(default_factory=list)
    ticks: list[str] = field(default_factory=list)
    doubling: bool = False
    of_one_method: bool = False


def points(scores: Iterable[tuple[float, Score]]) -> list[Point]:
    """(x, score) as points, without those that have no number."""
    return [Point(x, s.mean, s.deviation, s.seeds, s.incomplete) for x, s in scores if s.mean is not None]
