"""The charts as PNG and PDF for papers: one file for each figure, its panels beside one another."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.build_charts import charts
from reports.chart_types import COLOURS, Chart, Point, Series
from reports.records import RecordedRun
from reports.render.label_placement import name_points
from safeio.atomic import atomic_write
from safeio.errors import MissingPackage, WrongChoice
from safeio.escape import for_figure, for_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")
MARKERS = "os^Dv"
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1.5)))
COLUMN_WIDTHS = {"single": 3.25, "double": 6.875}
"""Inches of a column and of a page in two-column conference papers."""
PANELS_BESIDE = {"single": 2, "double": 4}
"""Panels of a grid beside one another."""
MOST_NAMED = {"single": 14, "double": 40}
"""Points of a scatter plot that have room for names beside them; more have a legend."""
MOST_OF_A_TITLE, MOST_OF_A_PANEL = 80, 20
"""Letters of a figure's title, and of a panel's."""
ENTRY, LETTER, TITLE = 0.15, 0.062, 0.2
"""Inches of height of a line of the legend, of width of a letter, and of height of a title."""
ZERO = 0.5
"""Position of 0 shots on a logarithmic axis."""
HOLLOW = "hollow: not all seeds of the protocol"
RESOLUTION = 300
"""Dots per inch of PNG files."""
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#59636e",
    "axes.axisbelow": True,
    "grid.color": "#d0d7de",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # letters stay letters: some venues refuse matplotlib's own font type
}


def draw(
    runs: Sequence[RecordedRun], folder: Path, seeds: Sequence[int] | None = None, column_width: str | None = None
) -> list[Path]:
    """One PNG and one PDF for each figure, and one figure of all datasets' few-shot curves; returns the files.

    Args:
        column_width: single or double; None: single for a figure of one panel, double for others.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the message says how to get it.
        WrongChoice: there is nothing to draw.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError:
        raise MissingPackage(
            "--figures needs matplotlib: pip install -e '.[figures]' (--format html draws without it)."
        ) from None
    drawn = charts(runs, seeds)
    if not drawn:
        raise WrongChoice(
            "There is nothing to draw: no base-to-novel pairs, no several shots, no ablation among the runs."
        )
    figures = {file_name(group[0]): group for group in (list(of) for _, of in groupby(drawn, key=file_name))}
    if len(curves := [chart for chart in drawn if chart.kind == "few_shot"]) > 1:
        figures["few_shot_all"] = [replace(chart, group="", name=chart.group) for chart in curves]
    if dots := gains(drawn):
        figures["base2new_gains"] = [dots]
    return [path for name, of in figures.items() for path in _save(figure_of(of, column_width), folder / name)]


def gains(charts: Sequence[Chart]) -> Chart | None:
    """Return a dot plot of H by dataset, of the methods with the best and the second best average; None without two."""
    scatter = [chart for chart in charts if chart.kind == "scatter"]
    if len(scatter) < 3:
        return None
    h = [{one.label: _harmonic(one.points[0].x, one.points[0].y) for one in chart.series} for chart in scatter]
    best = sorted(h[0], key=lambda label: -h[0][label])[:2]
    if len(best) < 2:
        return None
    names = [chart.group for chart in scatter]
    styles = {one.label: one.style for chart in scatter for one in chart.series}
    series = [
        Series(name, [Point(of[name], -float(i), None, 0) for i, of in enumerate(h) if name in of], styles[name])
        for name in best
    ]
    return Chart("gains", "", "", "H in %", "", series, ticks=names)


def _harmonic(base: float, new: float) -> float:
    return 2 * base * new / (base + new) if base and new else 0.0


def figure_of(panels: Sequence[Chart], column_width: str | None = None) -> Figure:
    """One figure with these panels in rows and the legend below them."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    width = column_width or ("single" if len(panels) == 1 and panels[0].kind != "scatter" else "double")
    labels = list(dict.fromkeys(_plain(series.label) for chart in panels for series in chart.series))
    named = panels[0].kind == "scatter" and len(labels) <= MOST_NAMED[width]
    with rc_context(STYLE):
        beside = min(len(panels), PANELS_BESIDE[width])
        rows, inches = math.ceil(len(panels) / beside), COLUMN_WIDTHS[width]
        entries = max(1, min(len(labels), int(inches / (LETTER * max(map(len, labels)) + 0.42))))
        height = rows * (0.72 if panels[0].kind == "scatter" else 0.85) * inches / beside
        lines = math.ceil(len(labels) / entries) + 1 + _any_hollow(panels)
        height += (0 if named else 1.25 * ENTRY * lines) + (TITLE if panels[0].group else 0)
        figure = Figure(figsize=(inches, height), layout="constrained", dpi=RESOLUTION)
        _fill(figure, panels, rows, beside)
        if named:
            _name_points(figure, panels[0])
        else:
            _add_legend(figure, entries, HOLLOW if _any_hollow(panels) else None)
    return figure


def file_name(chart: Chart) -> str:
    """Kind and group of a chart in letters that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.=+-]+", "_", f"{chart.kind}_{chart.group}").strip("_")[:120]


def _save(figure: Figure, path: Path) -> list[Path]:
    from matplotlib import rc_context

    paths = []
    for kind in FORMATS:
        content = io.BytesIO()
        smaller: dict[str, Any] = {"pil_kwargs": {"optimize": True}} if kind == "png" else {}
        with rc_context(STYLE):  # the type of fonts is read when the file is written
            figure.savefig(content, format=kind, **smaller)
        paths.append(path.with_name(f"{path.name}.{kind}"))
        with atomic_write(paths[-1]) as file:
            file.write(content.getvalue())
    return paths


def _fill(figure: Figure, panels: Sequence[Chart], rows: int, beside: int) -> None:
    """Panels and title of a figure."""
    if panels[0].group:
        figure.suptitle(_plain(panels[0].group, MOST_OF_A_TITLE), fontsize=9, wrap=True)
    letters = max(MOST_OF_A_PANEL, int(figure.get_figwidth() / beside / LETTER) - len("100.0 %"))  # below a panel
    grid = figure.subplots(rows, beside, squeeze=False, sharex=len(panels) > 3, sharey=panels[0].kind == "coverage")
    for spare in grid.flat[len(panels) :]:
        spare.set_axis_off()
    for i, (chart, axes) in enumerate(zip(panels, grid.flat, strict=False)):
        _plot(chart, axes)
        below = i + beside < len(panels)  # a panel under it has the axis's name
        axes.set(xlabel="" if below else _plain(chart.x, letters), ylabel="" if i % beside else _plain(chart.y))
        axes.set_title(_plain(chart.name, MOST_OF_A_PANEL))
        axes.tick_params(labelbottom=True)
    if panels[0].doubling:  # shared by all panels: those without a star have the place for one too
        xs = sorted({_at(chart, point.x) for chart in panels for one in chart.series for point in one.points})
        for axes in grid.flat[: len(panels)]:
            axes.set_xticks(xs, ["0" if x == ZERO else f"{x:g}" for x in xs])


def _name_points(figure: Figure, chart: Chart) -> None:
    figure.supxlabel(HOLLOW if _any_hollow([chart]) else "", fontsize=6, color="#59636e", x=0.98, ha="right")
    name_points(figure, figure.axes[0], [(_plain(series.label), series.points[0]) for series in chart.series])


def _add_legend(figure: Figure, entries: int, hollow: str | None) -> None:
    """Draw one legend for all panels, with `entries` names beside one another."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    look: dict[str, Any] = {
        "title": hollow,
        "title_fontsize": 6,
        "loc": "outside lower center",
        "ncols": entries,
        "columnspacing": 1.2,
    }
    figure.legend(found.values(), found.keys(), **look).get_title().set_color("#59636e")


def _any_hollow(panels: Sequence[Chart]) -> bool:
    return any(point.incomplete for chart in panels for series in chart.series for point in series.points)


def _plot(chart: Chart, axes: Axes) -> None:
    for series in chart.series:
        _add(axes, chart, series)
    if chart.kind == "gains":
        _name_rows(chart, axes)
        return
    xs = sorted({_at(chart, point.x) for series in chart.series for point in series.points})
    if chart.doubling:
        axes.set_xscale("log", base=2)
    if chart.ticks:
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, chart.ticks)) > 8 else {}
        axes.set_xticks(range(len(chart.ticks)), [_plain(name) for name in chart.ticks], **turned)
    elif chart.kind == "coverage":
        axes.set_xticks([0.2, 0.4, 0.6, 0.8, 1])
    elif chart.kind != "scatter" and len(xs) <= 10:
        axes.set_xticks(xs, ["0" if chart.doubling and x == ZERO else f"{x:g}" for x in xs])
        axes.minorticks_off()
    axes.grid()
    axes.margins(0.08 if chart.kind == "scatter" else 0.05)
    if chart.kind == "scatter":
        _same_means(axes)


def _at(chart: Chart, x: float) -> float:
    """Return the position of a value: on an axis of doublings, 0 is a step before the first."""
    return ZERO if chart.doubling and x == 0 else x


def _name_rows(chart: Chart, axes: Axes) -> None:
    """Datasets as rows of a dot plot, and the difference of its two methods at the right."""
    ours, other = ({point.y: point.x for point in series.points} for series in chart.series)
    axes.set_yticks([-i for i in range(len(chart.ticks))], [_plain(name, MOST_OF_A_PANEL) for name in chart.ticks])
    for row in sorted(set(ours) & set(other)):
        axes.plot([other[row], ours[row]], [row, row], color="#9da7b1", linewidth=1, zorder=1)
        gain = f"{ours[row] - other[row]:+.2f}"
        axes.annotate(gain, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=6.5)
    axes.grid(axis="x")


def _add(axes: Axes, chart: Chart, series: Series) -> None:
    points = sorted(series.points, key=lambda point: point.x)
    xs, ys = [_at(chart, point.x) for point in points], [point.y for point in points]
    spread = [point.deviation or 0.0 for point in points] if any(point.deviation for point in points) else None
    sideways = [point.x_deviation or 0.0 for point in points] if any(point.x_deviation for point in points) else None
    round_ = series.style // len(COLOURS)
    look: dict[str, Any] = {"color": COLOURS[series.style % len(COLOURS)], "marker": MARKERS[round_ % len(MARKERS)]}
    if series.star:
        look |= {"marker": "*", "markersize": 8}
    dash = "none" if chart.kind in ("scatter", "gains") else DASHES[round_ % len(DASHES)]
    bars: dict[str, Any] = {"capsize": 2, "elinewidth": 0.9}
    axes.errorbar(xs, ys, spread, sideways, label=_plain(series.label), linestyle=dash, **look, **bars)
    hollow = [(_at(chart, point.x), point.y) for point in points if point.incomplete]
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


def _plain(text: str, most: int = 30) -> str:
    """Return text as matplotlib draws it, with at most so many letters, the middle left out."""
    text = for_line(text)
    if len(text) > most:
        text = f"{text[: most * 2 // 3 - 1]}…{text[-(most // 3) :]}"
    return for_figure(text)
