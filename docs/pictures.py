"""Draw the pictures of docs/concepts: `python docs/pictures.py`, in about a minute."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import nasformer as nf
from nasformer.report import figures
from nasformer.report.figures.picture import Picture, picture
from nasformer.report.palette import BAR, BLOCK, INK, style
from nasformer.report.statistics import analyse

FOLDER = Path(__file__).parent / "pictures"
BUDGET = (18e6, 23e6)
EXPERIMENT = """
title: Three strategies
seeds: 10
evaluations: 150
strategies: [random, evolution, thompson]
tasks:
  - {name: digits, space: digits, fitness: "table:digits-exhaustive", budget: params <= 54K}
"""


def draw_supernet() -> Picture:
    """Return a weight matrix with its leading slices, and one subnet in the layers of the supernet."""

    def paint(figure: Figure) -> None:
        slices, layers = figure.subplots(1, 2, width_ratios=(1, 1.5))
        _paint_slices(slices)
        _paint_layers(layers)

    return picture("supernet", "Slices of the weights of a supernet", "", paint, width=7.2, height=2.9)


def _paint_slices(axes: Axes) -> None:
    _bare(axes, "one weight matrix, three subnets", 10.6, 10)
    for hidden, embed, colour in ((10, 8, 0), (7.5, 6.5, 1), (5, 5, 2)):
        axes.add_patch(Rectangle((0, 10 - hidden), embed, hidden, facecolor=style(colour).colour, alpha=0.28))
        axes.add_patch(Rectangle((0, 10 - hidden), embed, hidden, fill=False, edgecolor=style(colour).colour))
        axes.text(embed - 0.2, 10 - hidden + 0.25, f"{embed * 30:g} × {hidden * 48:g}", ha="right", fontsize=7.5)
    axes.text(4, 10.2, "embed_dim", ha="center", color=INK.light)
    axes.text(8.4, 5, "hidden units", rotation=270, va="center", color=INK.light)


def _paint_layers(axes: Axes) -> None:
    _bare(axes, "one subnet in the layers of the supernet", 15, 10)
    heads, ratios = (3, 2, 3, 0, 2), (2, 3, 1, 2, 0)
    for layer, (own_heads, own_ratio) in enumerate(zip(heads, ratios, strict=True)):
        top = 8.6 - 1.9 * layer
        axes.text(0, top + 0.5, f"layer {layer + 1}", va="center", fontsize=8)
        for index in range(3):
            _paint_part(axes, 2.6 + 1.7 * index, top, index < own_heads)
            _paint_part(axes, 9.2 + 1.7 * index, top, index < own_ratio)
    axes.text(5.0, 9.8, "heads", ha="center", color=INK.light)
    axes.text(11.6, 9.8, "hidden units", ha="center", color=INK.light)


def _paint_part(axes: Axes, left: float, bottom: float, used: bool) -> None:
    colour = BLOCK.light if used else BAR.light
    axes.add_patch(Rectangle((left, bottom), 1.45, 1.1, facecolor=colour, alpha=1 if used else 0.35))


def _bare(axes: Axes, title: str, width: float, height: float) -> None:
    axes.set_title(title, fontsize=9, loc="left", color=INK.light)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height + 1)
    axes.axis("off")


def draw_feasible_set() -> Picture:
    """Return the exact number of architectures in each range of parameters, with a budget."""
    space = nf.load_space("autoformer-small")
    least, most = space.feasible().bounds("params")
    edges = np.linspace(least, most, 61)
    counts = [space.feasible(params=(low, high)).count() for low, high in pairwise(edges)]
    inside = space.feasible(params=BUDGET).count()

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.bar(edges[:-1] / 1e6, counts, width=np.diff(edges) / 1e6, align="edge", color=BAR.light)
        axes.axvspan(*(end / 1e6 for end in BUDGET), color=style(0).colour, alpha=0.15)
        words = f"{inside / 1e12:.0f} trillion feasible\n({inside / space.size():.0%} of the space)"
        axes.text(BUDGET[0] / 1e6 + 0.2, 0.93 * max(counts), words, va="top")
        axes.set_xlabel("million parameters")
        axes.set_ylabel("architectures")

    return picture("feasible-set", "Architectures of AutoFormer-S by parameters", "", paint, width=7.2, height=2.6)


def draw_statistics() -> Picture | None:
    """Return the regret of three strategies over ten seeds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "experiment.yaml")
        path.write_text(EXPERIMENT, encoding="utf-8")
        (task,) = analyse(nf.run_experiment(path, Path(folder, "out"), workers=1)).tasks
    return figures.draw_anytime(task, {"random": 0, "evolution": 1, "thompson": 2}, "statistics")


if __name__ == "__main__":
    for drawn in (draw_supernet(), draw_feasible_set(), draw_statistics()):
        assert drawn is not None
        (FOLDER / f"{drawn.name}.png").write_bytes(drawn.png)
        print(FOLDER / f"{drawn.name}.png")
