"""Time per evaluation: in the fitness, and in the strategy's ask and tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import name_rows
from nasformer.report.notation import duration
from nasformer.report.palette import GRID, PAPER, style

if TYPE_CHECKING:
    from nasformer.report.statistics import Standing, TaskAnalysis

_LEAST = 1e-6


def draw_time_spent(task: TaskAnalysis, series: Mapping[str, int], name: str) -> Picture:
    """Return both times per evaluated architecture, by strategy, on a logarithmic axis."""
    labels = [standing.label for standing in task.ranking]
    times = [_times(standing) for standing in task.ranking]

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        for row, (label, pair) in enumerate(zip(labels, times, strict=True)):
            _row(axes, row, pair, series[label])
        name_rows(axes, labels, 0.6)
        axes.set_xscale("log")
        axes.set_xlim(*_decades([seconds for pair in times for seconds in pair]))
        axes.xaxis.set_major_formatter(lambda value, position: duration(value))
        axes.set_xlabel("time per evaluated architecture")
        for row, (label, (own, judging)) in enumerate(zip(labels, times, strict=True)):
            notes = [f"strategy {duration(own)}", f"evaluation {duration(judging)}"]
            yield Trace(axes, series[label], label, [own, judging], [row, row], notes)

    caption = "Time per evaluated architecture, median over seeds: in the strategy's ask and tell (filled marker) and "
    caption += "in the evaluation (open marker). Logarithmic axis."
    title = "Time in the strategy and in the evaluation"
    return picture(name, title, caption, paint, height=0.75 + 0.3 * max(2, len(labels)))


def _times(standing: Standing) -> tuple[float, float]:
    evaluations = max(1.0, standing.evaluations or 1.0)
    spent = (standing.strategy_seconds or 0.0, standing.evaluation_seconds or 0.0)
    return max(_LEAST, spent[0] / evaluations), max(_LEAST, spent[1] / evaluations)


def _decades(seconds: Sequence[float]) -> tuple[float, float]:
    low, high = math.floor(math.log10(0.8 * min(seconds))), math.ceil(math.log10(1.25 * max(seconds)))
    return 10.0**low, 10.0**high


def _row(axes: Axes, row: int, times: tuple[float, float], number: int) -> None:
    look = style(number)
    axes.plot(times, [row, row], color=GRID.light, linewidth=2.5, zorder=1)
    markers = axes.plot(times[0], row, look.marker, color=look.colour, markersize=6)
    hollow: dict[str, Any] = {"markerfacecolor": PAPER.light, "markersize": 6, "markeredgewidth": 1.4}
    markers += axes.plot(times[1], row, look.marker, color=look.colour, **hollow)
    belongs(markers, number)
