"""Anytime curves: each strategy's incumbent after each evaluation, over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from nasformer.report.figures.lines import Line, draw_lines
from nasformer.report.figures.picture import Picture
from nasformer.report.notation import points
from nasformer.report.palette import MUTED
from nasformer.report.tables.table import Series
from nasformer.report.words import say

if TYPE_CHECKING:
    from nasformer.report.statistics import Curve, TaskAnalysis

_ZERO = 1e-12


def draw_anytime(task: TaskAnalysis, series: Series, name: str) -> Picture | None:
    """Return the curves: regret on a logarithmic axis if the optimum is known, else the best value."""
    regret = bool(task.regret_curves)
    curves = {
        label: curve
        for label, curve in (task.regret_curves if regret else task.curves).items()
        if np.isfinite(curve.median).any()
    }
    floor = _floor(curves) if regret else -np.inf
    metric = task.record.metric.fitness
    what = "regret" if regret else f"best {metric.title}{'' if task.knows_true else ' seen'}"
    unit = points(metric).strip() if regret else metric.unit
    lines = [
        Line(
            label,
            curve.evaluations.tolist(),
            *(np.maximum(part, floor).tolist() for part in (curve.median, curve.low, curve.high)),
        )
        for label, curve in curves.items()
    ]

    def frame(axes: Axes) -> None:
        if regret:
            _logarithmic(axes, floor, lines)
        else:
            _limit(axes, lines)
        axes.set_xlim(0.93, 1.08 * max(2, *(line.x[-1] for line in lines)))

    zero = regret and any(bool((curve.low <= _ZERO).any()) for curve in curves.values())
    runs = max((standing.n for standing in task.ranking), default=0)
    return draw_lines(
        name,
        f"{'Regret' if regret else 'Best value'} after each evaluation, by strategy",
        say("figure_anytime", task=task, regret=regret, runs=runs, zero=zero),
        lines,
        series,
        x="evaluated architectures",
        y=f"{what}, {unit}" if unit else what,
        log=True,
        steps=True,
        height=3.2 if len(curves) < 9 else 3.9,
        least=1,
        frame=frame,
    )


def _floor(curves: Mapping[str, Curve]) -> float:
    """Return the axis position of zero regret: half the smallest positive one."""
    values = np.concatenate([part for curve in curves.values() for part in (curve.low, curve.median, curve.high)])
    positive = values[np.isfinite(values) & (values > _ZERO)]
    return 0.5 * float(positive.min()) if positive.size else 1e-3


def _logarithmic(axes: Axes, floor: float, lines: list[Line]) -> None:
    low = min(float(np.nanmin(np.array(line.low))) for line in lines)
    top = max(float(np.nanmax(np.array(line.high))) for line in lines)
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


def _limit(axes: Axes, lines: list[Line]) -> None:
    """Exclude the first evaluations from the y range: they would flatten the rest."""
    lows = [value for line in lines for value in np.array(line.low)[max(1, len(line.low) // 5) :] if np.isfinite(value)]
    highs = [end for end in (np.array(line.high)[-1] for line in lines) if np.isfinite(end)]
    if lows and highs and max(highs) > min(lows):
        margin = 0.05 * (max(highs) - min(lows))
        axes.set_ylim(min(lows) - margin, max(highs) + margin)
