"""Anytime curves: each strategy's incumbent after each evaluation, over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import compact_ticks, label_ends
from nasformer.report.notation import fitting, points
from nasformer.report.palette import MUTED, style

if TYPE_CHECKING:
    from nasformer.report.statistics import Curve, TaskAnalysis

Series = Mapping[str, int]
Text = Callable[[float], str]
_MARKS = 7
_NOTES = 60
_ZERO = 1e-12


def draw_anytime(task: TaskAnalysis, series: Series, name: str) -> Picture:
    """Return the curves: regret on a logarithmic axis if the optimum is known, else the best value."""
    regret = bool(task.regret_curves)
    curves = task.regret_curves if regret else task.curves
    floor = _floor(curves) if regret else -np.inf
    metric = task.record.metric.fitness
    ends = [float(value) for curve in curves.values() for value in curve.median[[0, -1]]]
    text = "{:.5g}".format if regret else fitting(metric, ends).text
    what = "regret" if regret else f"best {metric.title}" if task.knows_true else f"best {metric.title} seen"
    unit = points(metric).strip() if regret else metric.unit

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        shown = {label: _band(curve, floor) for label, curve in curves.items() if np.isfinite(curve.median).any()}
        for turn, (label, (low, middle, high)) in enumerate(shown.items()):
            _curve(axes, curves[label].evaluations, low, middle, high, series[label], turn)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(compact_ticks)
        axes.set_xlabel("evaluated architectures")
        axes.set_ylabel(f"{what}, {unit}" if unit else what)
        if regret:
            _logarithmic(axes, floor, shown)
        else:
            _limit(axes, shown)
        axes.set_xlim(0.93, 1.08 * max(2, *(int(curve.evaluations[-1]) for curve in curves.values())))
        figure.canvas.draw()  # label positions need the final layout
        label_ends(axes, {label: float(middle[-1]) for label, (_, middle, _) in shown.items()}, series)
        for label, (_, middle, _) in shown.items():
            yield _trace(axes, label, curves[label], middle, series[label], text)

    runs = max(standing.n for standing in task.ranking)
    title = f"{'Regret' if regret else 'Best value'} after each evaluation, by strategy"
    height = 3.2 if len(curves) < 9 else 3.9
    return picture(name, title, _caption(task, regret, runs), paint, height=height)


def _caption(task: TaskAnalysis, regret: bool, runs: int) -> str:
    what = "Regret (distance from the optimum within the limits)" if regret else "Value"
    told = "without noise" if task.knows_true else "as observed by the search"
    band = ", one run each" if runs == 1 else ": median over seeds, with the quartiles as a band"
    zero = " The bottom line is the optimum." if regret and _touches(task.regret_curves) else ""
    return f"{what} of the incumbent{band}; values {told}.{zero}"


def _band(curve: Curve, floor: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    low, middle, high = (np.maximum(values, floor) for values in (curve.low, curve.median, curve.high))
    return low, middle, high


def _floor(curves: Mapping[str, Curve]) -> float:
    """Return the axis position of zero regret: half the smallest positive one."""
    values = np.concatenate([part for curve in curves.values() for part in (curve.low, curve.median, curve.high)])
    positive = values[np.isfinite(values) & (values > _ZERO)]
    return 0.5 * float(positive.min()) if positive.size else 1e-3


def _curve(
    axes: Axes,
    at: NDArray[np.int64],
    low: NDArray[np.float64],
    middle: NDArray[np.float64],
    high: NDArray[np.float64],
    number: int,
    turn: int,
) -> None:
    look = style(number)
    steps = axes.fill_between(at, low, high, step="post", color=look.colour, alpha=0.1, linewidth=0)
    line = axes.plot(
        at,
        middle,
        linestyle=look.line,
        color=look.colour,
        drawstyle="steps-post",
        linewidth=1.6,
        solid_joinstyle="miter",
        marker=look.marker,
        markersize=4,
        markevery=_marked(at, turn),
    )
    belongs([steps, *line], number)


def _marked(at: NDArray[np.int64], turn: int) -> list[int]:
    """Return the marker positions of a curve: evenly on the axis, shifted so that overlapping curves show."""
    places = at[-1] ** ((np.arange(_MARKS) + (turn % _MARKS) / _MARKS) / _MARKS)
    return sorted({int(np.searchsorted(at, place)) for place in places} & set(range(len(at))))


def _touches(curves: Mapping[str, Curve]) -> bool:
    """Whether any curve or band reaches the optimum."""
    return any(bool((curve.low <= _ZERO).any()) for curve in curves.values())


def _logarithmic(axes: Axes, floor: float, shown: Mapping[str, tuple[NDArray[np.float64], ...]]) -> None:
    low = min(float(np.nanmin(band[0])) for band in shown.values())
    top = max(float(np.nanmax(band[2])) for band in shown.values())
    axes.set_yscale("log")
    axes.set_ylim(0.9 * low, 1.15 * max(top, 2 * low))
    axes.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
    between = (2, 3, 4, 6) if top < 8 * low else (2, 5) if top < 60 * low else ()
    axes.yaxis.set_minor_formatter(lambda value, position: f"{value:g}" if _digit(value) in between else "")
    if low <= floor:
        axes.axhline(floor, color=MUTED.light, linewidth=0.9)
        axes.text(-0.02, floor, "0", transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8.5)


def _digit(value: float) -> int:
    return round(float(value / 10 ** np.floor(np.log10(value))))


def _limit(axes: Axes, shown: Mapping[str, tuple[NDArray[np.float64], ...]]) -> None:
    """Exclude the first evaluations from the y range: they would flatten the rest."""
    lows = [value for low, _, _ in shown.values() for value in low[max(1, len(low) // 5) :] if np.isfinite(value)]
    highs = [float(high[-1]) for _, _, high in shown.values() if np.isfinite(high[-1])]
    if lows and highs and max(highs) > min(lows):
        margin = 0.05 * (max(highs) - min(lows))
        axes.set_ylim(min(lows) - margin, max(highs) + margin)


def _trace(axes: Axes, label: str, curve: Curve, y: NDArray[np.float64], number: int, text: Text) -> Trace:
    keep = np.unique(np.linspace(0, len(y) - 1, _NOTES).astype(int))
    notes = [_note(curve, int(index), text) for index in keep]
    return Trace(axes, number, label, curve.evaluations[keep].tolist(), y[keep].tolist(), notes)


def _note(curve: Curve, index: int, text: Text) -> str:
    low, middle, high = (float(values[index]) for values in (curve.low, curve.median, curve.high))
    after = f"after {curve.evaluations[index]:,} evaluations: {text(middle)}"
    return after if low == high else f"{after} ({text(low)} – {text(high)})"
