"""Best so far: how good the best architecture is after each evaluation, by strategy."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nasformer.report.experiment import Experiment, Group
from nasformer.report.figures.picture import Picture, picture
from nasformer.report.figures.text import compact_ticks, label_ends
from nasformer.report.palette import style

_QUARTILES_FROM = 8
_MARKS = 7


def draw_best_so_far(experiment: Experiment) -> Picture:
    """Return the curves: the median over seeds, and a band."""

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        styles = {group.label: style(index) for index, group in enumerate(experiment.groups)}
        ends = {group.label: _curve(axes, group, turn) for turn, group in enumerate(experiment.groups)}
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(compact_ticks)
        axes.set_xlabel("evaluated architectures")
        axes.set_ylabel(f"best {experiment.measure} so far{', %' if experiment.in_percent else ''}")
        _limit(axes, experiment)
        label_ends(axes, ends, styles)

    return picture("best-so-far", f"Best {experiment.measure} so far, by strategy", _caption(experiment), paint)


def _caption(experiment: Experiment) -> str:
    text = f"Best {experiment.measure} told so far"
    if max(len(group.results) for group in experiment.groups) == 1:
        return f"{text}, one run each."
    wide = any(_quartiles(group) for group in experiment.groups)
    band = "interquartile range" if wide else "range from worst to best seed"
    return f"{text}: median over seeds, with the {band} as a band. The values are those that guided the search."


def _quartiles(group: Group) -> bool:
    return len(group.results) >= _QUARTILES_FROM


def _curve(axes: Axes, group: Group, turn: int) -> float:
    look = style(turn)
    low, middle, high = band(group)
    at = np.arange(1, middle.size + 1)
    axes.fill_between(at, low, high, step="post", color=look.colour, alpha=0.12, linewidth=0)
    axes.plot(
        at,
        middle,
        look.line,
        color=look.colour,
        drawstyle="steps-post",
        linewidth=1.6,
        solid_joinstyle="miter",
        marker=look.marker,
        markersize=4,
        markevery=_marked(middle.size, turn),
    )
    return float(middle[-1])


def _marked(size: int, turn: int) -> list[int]:
    """Return where a curve carries its marker: evenly on the axis, shifted so that curves on each other all show."""
    at = size ** ((np.arange(_MARKS) + (turn % _MARKS) / _MARKS) / _MARKS)
    return sorted({min(size, round(place)) - 1 for place in at})


def band(group: Group) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower end, median and upper end over seeds, ``(evaluations,)`` each; NaN before the first value.

    The ends are the worst and the best seed, or from eight seeds on the quartiles.
    """
    curves = group.best_so_far()
    ends = (25, 50, 75) if _quartiles(group) else (0, 50, 100)
    known = np.isfinite(curves).all(axis=0)
    low, middle, high = (np.full(curves.shape[1], np.nan) for _ in ends)
    for row, end in zip((low, middle, high), ends, strict=True):
        row[known] = np.percentile(curves[:, known], end, axis=0)
    return low, middle, high


def _limit(axes: Axes, experiment: Experiment) -> None:
    """Leave the very first evaluations out of the y axis: they would flatten all that follows."""
    bands = [band(group) for group in experiment.groups]
    skip = [max(1, middle.size // 25) for _, middle, _ in bands]
    lows = [
        value for (low, _, _), first in zip(bands, skip, strict=True) for value in low[first:] if np.isfinite(value)
    ]
    highs = [float(high[-1]) for _, _, high in bands if np.isfinite(high[-1])]
    if lows and highs and max(highs) > min(lows):
        margin = 0.05 * (max(highs) - min(lows))
        axes.set_ylim(min(lows) - margin, max(highs) + margin)
    longest = max(middle.size for _, middle, _ in bands)
    axes.set_xlim(0.93, 1.08 * max(2, longest))
