"""The charts as PNG and PDF for papers: one file for each figure, its panels beside one another."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.build_charts import charts
from reports.chart_types import COLOURS, Chart, Series
from reports.records import Run
from reports.render.label_placement import name_points
from safeio.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")
MARKERS = "os^Dv"
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
WIDTH, HEIGHT, LEGEND = 4.2, 3.4, 1.3
"""Inches of a panel, and of the legend beside it."""
ENTRY = 0.2
"""Inches of height that a line of the legend takes, so that a long one is not cut off."""
SCATTER = (6.4, 4.6)
"""Inches of a scatter plot, which has names in it."""
RESOLUTION = 180
"""Dots per inch of PNG files."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#59636e",
    "axes.axisbelow": True,
    "grid.color": "#d0d7de",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # letters stay letters: some venues refuse matplotlib's own font type
}


def draw(runs: Sequence[Run], folder: Path, seeds: Sequence[int] | None = None) -> list[Path]:
    """One PNG and one PDF for each figure; returns the files.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the message says how to get it.
        ValueError: there is nothing to draw.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "--figures needs matplotlib: pip install -e '.[figures]' (--format html draws without it)."
        ) from None
    drawn = charts(runs, seeds)
    if not drawn:
        raise ValueError(
            "There is nothing to draw: no base-to-new pairs, no several shots, no ablation among the runs."
        )
    panels = [list(group) for _, group in groupby(drawn, key=file_name)]
    return [path for group in panels for path in _save(figure_of(group), folder / file_name(group[0]))]


def figure_of(panels: Sequence[Chart]) -> Figure:
    """One figure with these panels beside one another."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    with rc_context(STYLE):
        figure = Figure(figsize=_size(panels), layout="constrained", dpi=RESOLUTION)
        _fill(figure, panels)
    return figure


def file_name(chart: Chart) -> str:
    """Kind and group of a chart in letters that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.=+-]+", "_", f"{chart.kind}_{chart.group}").strip("_")[:120]


def _size(panels: Sequence[Chart]) -> tuple[float, float]:
    if panels[0].kind == "scatter":
        return SCATTER
    entries = {series.label for chart in panels for series in chart.series}
    return WIDTH * len(panels) + LEGEND, max(HEIGHT, ENTRY * (len(entries) + 1))


def _save(figure: Figure, path: Path) -> list[Path]:
    paths = []
    for kind in FORMATS:
        content = io.BytesIO()
        smaller: dict[str, Any] = {"pil_kwargs": {"optimize": True}} if kind == "png" else {}
        figure.savefig(content, format=kind, **smaller)
        paths.append(path.with_name(f"{path.name}.{kind}"))
        with atomic_write(paths[-1]) as file:
            file.write(content.getvalue())
    return paths


def _fill(figure: Figure, panels: Sequence[Chart]) -> None:
    """Panels, title and legend of a figure."""
    figure.suptitle(_plain(panels[0].group), fontsize=11)
    for i, (chart, axes) in enumerate(zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True)):
        _plot(chart, axes)
        axes.set(xlabel=_plain(chart.x), ylabel="" if i else _plain(chart.y), title=_plain(chart.name))
    if any(point.incomplete for chart in panels for series in chart.series for point in series.points):
        figure.supxlabel("hollow: not all seeds of the protocol", fontsize=8, color="#59636e", x=0.98, ha="right")
    if panels[0].kind == "scatter":
        name_points(figure, figure.axes[0], [(_plain(s.label), s.points[0]) for s in panels[0].series])
        return
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(entries.values(), entries.keys(), loc="outside right upper")


def _plot(chart: Chart, axes: Axes) -> None:
    for series in chart.series:
        _add(axes, chart, series)
    xs = sorted({point.x for series in chart.series for point in series.points})
    if chart.doubling:
        axes.set_xscale("log", base=2)
    if chart.ticks:
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, chart.ticks)) > 8 else {}
        axes.set_xticks(range(len(chart.ticks)), [_plain(name) for name in chart.ticks], **turned)
    elif chart.kind != "scatter" and len(xs) <= 10:
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
        axes.minorticks_off()
    axes.grid()
    axes.margins(0.08 if chart.kind == "scatter" else 0.05)
    if chart.kind == "scatter":
        _same_means(axes)


def _add(axes: Axes, chart: Chart, series: Series) -> None:
    points = sorted(series.points, key=lambda point: point.x)
    xs, ys = [point.x for point in points], [point.y for point in points]
    spread = [point.deviation or 0.0 for point in points]
    sideways = [point.x_deviation or 0.0 for point in points] if chart.kind == "scatter" else None
    round_ = series.style // len(COLOURS)
    look: dict[str, Any] = {"color": COLOURS[series.style % len(COLOURS)], "marker": MARKERS[round_ % len(MARKERS)]}
    dash = "none" if chart.kind == "scatter" else DASHES[round_ % len(DASHES)]
    bars: dict[str, Any] = {"capsize": 2, "elinewidth": 0.9}
    axes.errorbar(xs, ys, spread, sideways, label=_plain(series.label), linestyle=dash, **look, **bars)
    hollow = [(point.x, point.y) for point in points if point.incomplete]
    if hollow:
        axes.plot(*zip(*hollow, strict=True), linestyle="none", markerfacecolor="white", zorder=5, **look)


def _same_means(axes: Axes) -> None:
    """Thin lines of equal harmonic mean through a scatter plot of base and new."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for mean in means_to_show(left, right, low, high):
        xs = [left + (right - left) * i / 200 for i in range(201)]
        line = [(x, mean * x / (2 * x - mean)) for x in xs if 2 * x > mean]
        inside = [(x, y) for x, y in line if low <= y <= high]
        if len(inside) > 20:  # of 201: a shorter one would be nothing but its label in a corner
            axes.plot(*zip(*inside, strict=True), color="#9da7b1", linewidth=0.7, linestyle=":", zorder=1)
            axes.annotate(f"H {mean:g}", inside[-1], fontsize=7, color="#59636e", ha="right", va="bottom")
    axes.set(xlim=(left, right), ylim=(low, high))


def means_to_show(left: float, right: float, low: float, high: float) -> list[float]:
    """Round values between the smallest and largest harmonic mean in a rectangle of base and new, at most six."""

    def mean(base: float, new: float) -> float:
        return 2 * base * new / (base + new) if base > 0 and new > 0 else 0.0

    first, last = mean(left, low), mean(right, high)
    step = next(size for size in (0.5, 1, 2, 5, 10, 20, 50) if (last - first) / size <= 6)
    return [i * step for i in range(math.ceil(first / step), math.floor(last / step) + 1) if i > 0]


def _plain(text: str) -> str:
    """Dollar signs are text, not the start of a formula."""
    return text.replace("$", r"\$")
