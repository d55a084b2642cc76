"""Draw docs/images/step_cost.png: time and memory of a training step of MMRL over the number of classes.

    python benchmarks/figure.py

The numbers are those of parts.json, measured with step.py at batch size 4: the published code's way (plain), and this
harness.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

if __name__ == "__main__":  # --help is answered before Matplotlib is loaded
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PARTS = Path(__file__).with_name("parts.json")
TARGET = Path(__file__).parent.parent / "docs" / "images" / "step_cost.png"
PLAIN, HERE = {"color": "#b0513b", "marker": "s"}, {"color": "#1f5fa8", "marker": "o"}


def panel(axes: plt.Axes, title: str, unit: str, rows: list[list[float]], ticks: list[int], divisor: float = 1) -> None:
    """Draw rows of classes, plain and here on logarithmic axes, with the ratio at each point of this harness."""
    classes = [row[0] for row in rows]
    for column, name, style in ((1, "published code", PLAIN), (2, "this harness", HERE)):
        axes.plot(classes, [row[column] / divisor for row in rows], label=name, **style)
    for number, plain, here in rows:
        axes.annotate(
            f"{plain / here:.1f}x", (number, here / divisor), (3, -14), textcoords="offset points", ha="center"
        )
    axes.set(xscale="log", yscale="log", title=title, xlabel="classes", ylabel=unit)
    axes.set_xticks(classes, classes)
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.margins(x=0.12, y=0.18)
    axes.grid(alpha=0.3)


def main(target: Path = TARGET) -> None:
    """Draw and write the figure."""
    parts = json.loads(PARTS.read_text(encoding="utf-8"))
    cores, card = parts["two cores"]["plain_and_here"], parts["NVIDIA H200"]["plain_and_here"]
    plt.rcParams |= {"font.size": 9, "axes.titlesize": 9.5}
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.6, 3.1), layout="constrained")
    panel(left, "Time of a step, two CPU cores", "seconds", cores["step_ms"], [1, 3, 10, 30, 100], divisor=1000)
    panel(middle, "Memory of a step, two CPU cores", "MiB", cores["memory_mib"], [100, 300, 1000, 3000, 10000])
    panel(right, "Time of a step, one H200, float16", "milliseconds", card["step_ms"], [5, 10, 20, 40])
    left.legend(frameon=False, loc="upper left")
    figure.savefig(target, dpi=200)


if __name__ == "__main__":
    main()
