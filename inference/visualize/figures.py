"""Figures of what a method learned, drawn with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor
from torch.nn import functional as F

from inference.visualize.attention import AttentionMaps
from inference.visualize.features import on_a_plane, separation
from safeio.atomic import atomic_write
from safeio.escape import for_figure

PANEL = 1.1  # inches
DPI = 110
PALE = 0.3
"""Share by which an image is paled below the colours."""


def attention_figure(image: Tensor, before: AttentionMaps, after: AttentionMaps, index: int, method: str) -> Figure:
    """Rows: class token of frozen CLIP, class token and learned tokens of the method; columns: layers.

    Each panel is scaled by its own largest value; the number in it is the fraction of attention that the patches get.

    Args:
        image: (S, S, 3) in 0..1, as the encoder saw it; index: its place in the maps' batch.
    """
    layers = sorted(after.class_token)
    tokens = max((maps.shape[1] for maps in after.learned.values()), default=0)
    rows = [("CLIP\nclass token", {layer: before.class_token[layer][index] for layer in layers})]
    rows.append((f"{for_figure(method)}\nclass token", {layer: after.class_token[layer][index] for layer in layers}))
    for token in range(tokens):
        rows.append(
            (f"{for_figure(method)}\ntoken {token + 1}", {n: maps[index, token] for n, maps in after.learned.items()})
        )
    figure = Figure(figsize=(PANEL * (len(layers) + 2), PANEL * len(rows) + 0.4), dpi=DPI, layout="compressed")
    axes = figure.subplots(len(rows), len(layers) + 1, squeeze=False)
    for row, (name, maps) in zip(axes, rows, strict=True):
        row[0].set_ylabel(name, fontsize=7)
        for axis, layer in zip(row[1:], layers, strict=True):
            if layer in maps:
                _overlay(axis, image, maps[layer])
            else:
                axis.set_visible(False)
        for axis in row:
            axis.set(xticks=[], yticks=[])
    axes[0, 0].imshow(image)
    for axis in axes[1:, 0]:
        axis.spines[:].set_visible(False)
    for axis, layer in zip(axes[0, 1:], layers, strict=True):
        axis.set_title(f"layer {layer}", fontsize=7)
    return figure


def _overlay(axis, image: Tensor, fractions: Tensor) -> None:
    """A map (side, side) in red over the paled image (S, S, 3), the more opaque the higher."""
    relative = F.interpolate((fractions / fractions.max())[None, None], image.shape[:2], mode="bilinear")[0, 0]
    axis.imshow(image.mean(dim=-1, keepdim=True).expand(-1, -1, 3) * (1 - PALE) + PALE)
    axis.imshow(colormaps["Reds"](np.full(relative.shape, 0.85)), alpha=relative.numpy(), vmin=0, vmax=1)
    axis.text(0.96, 0.05, f"{100 * fractions.sum():.0f} %", transform=axis.transAxes, ha="right", fontsize=6)


def features_figure(
    sets: Mapping[str, np.ndarray], labels: np.ndarray, names: Sequence[str], trained: Sequence[bool], projection: str
) -> Figure:
    """One map per feature set; discs are classes trained on, crosses new ones.

    Args:
        sets: (n, E) features by name; labels: (n,) into `names`; trained: for each name, whether it was trained on.
    """
    figure = Figure(figsize=(4.2 * len(sets), 4.9), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(sets), squeeze=False)[0]
    trained = np.asarray(trained)
    colours = {}  # the same ten for trained and for new classes, which have other marks
    for kind in (True, False):
        colours |= {label: colormaps["tab10"](i % 10) for i, label in enumerate(np.flatnonzero(trained == kind))}
    for axis, (name, features) in zip(axes, sets.items(), strict=True):
        points = on_a_plane(features, projection)
        for label, colour in colours.items():
            axis.scatter(*points[labels == label].T, color=colour, s=18, **_mark(trained[label]))
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{for_figure(name)}\n{_separations(features, labels, trained)}", fontsize=8)
    handles = [
        Line2D(
            [],
            [],
            ls="",
            color=colour,
            label=f"{for_figure(names[i])} ({'trained' if trained[i] else 'new'})",
            ms=4,
            **_mark(trained[i]),
        )
        for i, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(3, 2 * len(sets)), fontsize=6)
    return figure


def _mark(trained: bool) -> dict[str, str]:
    return {"marker": "o" if trained else "x"}


def _separations(features: np.ndarray, labels: np.ndarray, trained: np.ndarray) -> str:
    parts = []
    for kind, of_kind in (("trained", True), ("new", False)):
        chosen = trained[labels] == of_kind
        value = separation(features[chosen], labels[chosen])
        parts += [f"{kind} {value:.2f}"] if value is not None else []
    return f"silhouette: {', '.join(parts)}" if parts else ""


def save(figure: Figure, path: Path) -> None:
    """Write a PNG; its folder is made."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    with atomic_write(path) as file:
        file.write(content.getbuffer())
