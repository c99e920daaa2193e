"""Time spent: what an evaluation costs in the fitness and in the strategy's own ask and tell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.experiment import Experiment
from nasformer.report.figures.picture import Picture, picture
from nasformer.report.figures.text import plain
from nasformer.report.notation import duration
from nasformer.report.palette import GRID, PAPER, style

_LEAST = 1e-6


def draw_time_spent(experiment: Experiment) -> Picture:
    """Return both times per evaluated architecture, by strategy, on a logarithmic axis."""
    groups = experiment.groups
    times = [
        tuple(max(_LEAST, group.seconds_per_evaluation(name)) for name in ("strategy", "evaluation"))
        for group in groups
    ]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for row, (own, judging) in enumerate(times):
            _row(axes, row, own, judging)
        axes.set_yticks(range(len(groups)), [plain(group.label) for group in groups], parse_math=False)
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.set_xscale("log")
        axes.set_xlim(*_decades([seconds for pair in times for seconds in pair]))
        axes.xaxis.set_major_formatter(lambda value, position: duration(value))
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("time per evaluated architecture")

    caption = "Time per evaluated architecture, median over seeds: in the strategy's ask and tell (filled marker) and "
    caption += "in evaluating (open marker). The axis is logarithmic."
    title = "Time in the strategy against time evaluating"
    return picture("time-spent", title, caption, paint, height=0.75 + 0.32 * len(groups))


def _decades(seconds: Sequence[float]) -> tuple[float, float]:
    low, high = math.floor(math.log10(0.8 * min(seconds))), math.ceil(math.log10(1.25 * max(seconds)))
    return 10.0**low, 10.0**high


def _row(axes: Axes, row: int, own: float, judging: float) -> None:
    look = style(row)
    axes.plot([own, judging], [row, row], color=GRID.light, linewidth=2.5, zorder=1)
    axes.plot(own, row, look.marker, color=look.colour, markersize=6)
    axes.plot(
        judging, row, look.marker, color=look.colour, markerfacecolor=PAPER.light, markersize=6, markeredgewidth=1.4
    )
