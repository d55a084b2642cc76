"""The charts as PNG and PDF for papers."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reports.charts import Chart, Series, charts
from reports.records import Run
from safeio.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "pdf")
MARKERS = "os^Dv<>pPX*h"
WIDTH, HEIGHT = 5.0, 3.6
"""Inches."""


def draw(runs: Sequence[Run], folder: Path, seeds: Sequence[int] | None = None) -> list[Path]:
    """One PNG and one PDF for each chart; returns the files.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the message says how to get it.
        ValueError: there is nothing to draw.
    """
    try:
        from matplotlib.figure import Figure  # without pyplot: no display, no global state
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "--figures needs matplotlib: pip install -r requirements-figures.txt (--format html draws without it)."
        ) from None
    drawn = charts(runs, seeds)
    if not drawn:
        raise ValueError(
            "There is nothing to draw: no base-to-new pairs, no several shots, no ablation among the runs."
        )
    paths = []
    for chart in drawn:
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        _plot(chart, figure.subplots())
        for kind in FORMATS:
            content = io.BytesIO()
            figure.savefig(content, format=kind, dpi=200)
            paths.append(folder / f"{file_name(chart)}.{kind}")
            with atomic_write(paths[-1]) as file:
                file.write(content.getvalue())
    return paths


def file_name(chart: Chart) -> str:
    """Kind and name of a chart in letters that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.=+-]+", "_", f"{chart.kind}_{chart.name}").strip("_")[:120]


def _plot(chart: Chart, axes: Axes) -> None:
    for i, series in enumerate(chart.series):
        _add(axes, chart, series, MARKERS[i % len(MARKERS)])
    axes.set(xlabel=_plain(chart.x), ylabel=_plain(chart.y), title=_plain(chart.name))
    xs = sorted({point.x for series in chart.series for point in series.points})
    if chart.doubling:
        axes.set_xscale("log", base=2)
    if chart.ticks:
        axes.set_xticks(range(len(chart.ticks)), [_plain(name) for name in chart.ticks])
    elif chart.kind != "scatter" and len(xs) <= 10:
        axes.set_xticks(xs, [f"{x:g}" for x in xs])
        axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _add(axes: Axes, chart: Chart, series: Series, marker: str) -> None:
    points = sorted(series.points, key=lambda point: point.x)
    xs, ys = [point.x for point in points], [point.y for point in points]
    spread = [point.deviation or 0.0 for point in points]
    style = "none" if chart.kind == "scatter" else "-"
    axes.errorbar(xs, ys, yerr=spread, label=_plain(series.label), marker=marker, linestyle=style, capsize=2)


def _plain(text: str) -> str:
    """Dollar signs are text, not the start of a formula."""
    return text.replace("$", r"\$")
