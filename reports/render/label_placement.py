"""Placement of names beside the points of a scatter plot, so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from reports.chart_types import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP = 4.0
"""Points between a point's centre and what is written near it."""
SIZE = 8
"""Points of the letters."""


class Box(NamedTuple):
    """A rectangle in pixels, from the lower left."""

    left: float
    low: float
    right: float
    high: float

    def meets(self, other: Box) -> bool:
        """Return whether two boxes overlap."""
        apart = self.right < other.left or other.right < self.left or self.high < other.low or other.high < self.low
        return not apart

    def holds(self, other: Box) -> bool:
        """Return whether the other box lies in this one."""
        return (
            self.left <= other.left and other.right <= self.right and self.low <= other.low and other.high <= self.high
        )

    def distance(self, x: float, y: float) -> float:
        """Return the distance of a point from the nearest edge, 0 inside."""
        across, up = max(self.left - x, x - self.right, 0.0), max(self.low - y, y - self.high, 0.0)
        return (across**2 + up**2) ** 0.5


def name_points(figure: Figure, axes: Axes, named: Sequence[tuple[str, Point]]) -> None:
    """Write each name beside its point; one that finds room only farther away is tied to it by a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    scale = figure.dpi / 72
    FigureCanvasAgg(figure).draw()  # where the points are is known only then
    frame = Box(*axes.get_window_extent().extents)
    centres = [(float(x), float(y)) for x, y in axes.transData.transform([(p.x, p.y) for _, p in named])]
    sizes = []
    for name, _ in named:
        probe = axes.text(0, 0, name, fontsize=SIZE)
        extent = probe.get_window_extent()
        probe.remove()
        sizes.append((extent.width, extent.height))
    bars = [bar for _, point in named for bar in _bars(axes, point, GAP * scale / 4)]
    boxes = place(centres, sizes, frame, GAP * scale, bars)
    for (name, point), (x, y), box in zip(named, centres, boxes, strict=True):
        by = ((box.left - x) / scale, (box.low - y) / scale)
        tie = {"arrowstyle": "-", "color": "#9da7b1", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2}
        far = box.distance(x, y) > 2 * GAP * scale
        note = axes.annotate(
            name,
            (point.x, point.y),
            by,
            textcoords="offset points",
            fontsize=SIZE,
            zorder=6,
            arrowprops=tie if far else None,
        )
        note.set_in_layout(False)


def _bars(axes: Axes, point: Point, half: float) -> list[Box]:
    """Return the rectangles of the bars of deviation through a point, `half` as wide to each side."""
    across, up = point.x_deviation or 0.0, point.deviation or 0.0
    corners = [(point.x - across, point.y - up), (point.x + across, point.y + up)]
    (left, low), (right, high) = axes.transData.transform(corners)
    x, y = (left + right) / 2, (low + high) / 2
    found = [Box(left, y - half, right, y + half)] if across else []
    return [*found, Box(x - half, low, x + half, high)] if up else found


def place(
    centres: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    gap: float,
    bars: Sequence[Box] = (),
) -> list[Box]:
    """A rectangle for the name of each point that meets no point and no other name, as near as there is room.

    Args:
        centres, sizes: of points, and of names as (width, height), in pixels.
        frame: in which names must lie. Where it has no room at all, a name covers something.
        bars: what else names keep off where they can.
    """
    dots = [Box(x - gap, y - gap, x + gap, y + gap) for x, y in centres]
    found: list[Box] = []
    for i, ((x, y), (width, height)) in enumerate(zip(centres, sizes, strict=True)):
        others = [dot for j, dot in enumerate(dots) if j != i] + found
        tried = [_at(x + dx, y + dy, width, height) for dx, dy in _sides(width, height, gap)]
        inside = [box for box in tried if frame.holds(box)]
        free = [box for box in inside if not any(map(box.meets, others))]
        clear = [box for box in free if not any(map(box.meets, bars))]
        found.append((clear or free or inside or tried)[0])
    return found


def _at(left: float, low: float, width: float, height: float) -> Box:
    return Box(left, low, left + width, low + height)


def _sides(width: float, height: float, gap: float) -> list[tuple[float, float]]:
    """Return offsets from a point to the lower left of its name: first between the bars that cross at the point,
    beside and above them, then farther away."""
    found = []
    for far in (gap, 4 * gap, 7 * gap, 10 * gap):
        right, left, above, below = far, -far - width, far / 2, -far / 2 - height
        found += [(right, above), (left, above), (right, below), (left, below)]
        found += [(1.4 * right, -height / 2), (left - 0.4 * far, -height / 2)]
        found += [(-width / 2, 1.4 * far), (-width / 2, -1.4 * far - height)]
        found += [(across, up) for up in (far, -far - height) for across in (right, left)]
    return found
