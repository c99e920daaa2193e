"""Cost scatter: fitness against cost of every evaluated architecture, with the budget."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nasformer.cost import Limits
from nasformer.report.figures.picture import Picture, belongs, picture
from nasformer.report.figures.text import compact_ticks, key_above
from nasformer.report.notation import compact, cost_name
from nasformer.report.palette import INK, MUTED, PAPER, style
from nasformer.report.searches import Group, Searches
from nasformer.tasks import Metric

_VECTOR_UP_TO = 4000
_HALO = {"boxstyle": "square,pad=0.12", "facecolor": PAPER.light, "edgecolor": "none", "alpha": 0.75}


def draw_cost_scatter(searches: Searches) -> Picture:
    """Return the scatter plot; duplicates between the seeds of a strategy are drawn once."""
    cost, what = searches.cost_axis, cost_name(searches.cost_axis)
    points = [_points(group, cost) for group in searches.groups]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        rasterized = sum(map(len, points)) > _VECTOR_UP_TO
        for index, found in enumerate(points):
            look = style(index)
            xs, ys = found.T
            dots: dict[str, Any] = {"s": 9, "c": look.colour, "marker": look.marker, "alpha": 0.5, "linewidths": 0}
            belongs(axes.scatter(xs, ys, **dots, rasterized=rasterized), index)
        _front(axes, np.concatenate(points))
        axes.xaxis.set_major_formatter(compact_ticks)
        _budgets(axes, searches)
        winners = _winners(axes, searches)
        axes.set_xlabel(what)
        axes.set_ylabel(_axis(searches.metric))
        key_above(figure, [_entry(group, index) for index, group in enumerate(searches.groups)], [winners])

    measure = f"{searches.measure[:1].upper()}{searches.measure[1:]}"
    caption = f"{measure} against {what} of every evaluated architecture. Stepped line: the Pareto front of "
    bounds = "; dashed: the budgets" if searches.budgets else "; dashed: the budget" if cost in searches.limits else ""
    caption += f"value and {what}{bounds}."
    return picture("cost-scatter", f"{measure} against {what} of all evaluated architectures", caption, paint)


def _axis(metric: Metric | None) -> str:
    """Return the title of the axis of a fitness: a metric of which less is better is negated."""
    return "fitness" if metric is None else f"search {metric.fitness.heading}"


def _entry(group: Group, index: int) -> tuple[str, Line2D]:
    look = style(index)
    return group.label, Line2D([], [], linestyle="none", marker=look.marker, color=look.colour, markersize=5)


def _points(group: Group, cost: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    trials = (trial for result in group.results for trial in result.trials if trial.eligible)
    distinct = {(trial.architecture, trial.value): (trial.costs[cost], trial.value) for trial in trials}
    return np.array(list(distinct.values()), dtype=float).reshape(-1, 2)


def _front(axes: Axes, points: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    ordered = points[np.argsort(points[:, 0], kind="stable")]
    best = np.maximum.accumulate(ordered[:, 1])
    axes.plot(ordered[:, 0], best, color=INK.light, linewidth=0.9, drawstyle="steps-post")


def _budgets(axes: Axes, searches: Searches) -> None:
    """Draw the budgets: one with its name, several as the ticks of a logarithmic axis."""
    limits: tuple[Limits, ...] = searches.budgets or (searches.limits,)
    ends = dict.fromkeys(end for own in limits for end in own.get(searches.cost_axis, ()) if end is not None)
    for end in ends:
        axes.axvline(end, color=MUTED.light, linewidth=0.7 if searches.budgets else 1, linestyle=(0, (4, 2)))
    if searches.budgets:
        axes.set_xscale("log")
        axes.set_xticks(list(ends), [compact(end) for end in ends])
        axes.minorticks_off()
        return
    look: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "bottom", "fontsize": 8.5, "bbox": _HALO}
    for end in ends:
        place: dict[str, Any] = {"xytext": (-4, 5), "textcoords": "offset points"}
        axes.annotate(f"budget {compact(end)}", (end, 0), xycoords=("data", "axes fraction"), **place, **look)


def _winners(axes: Axes, searches: Searches) -> tuple[str, Line2D]:
    """Mark the winners, and return their entry in the key."""
    winners, cost = [each.found for each in searches.winners or [searches.winner]], searches.cost_axis
    look: dict[str, Any] = {"marker": "*", "color": INK.light, "linestyle": "none"}
    costs = [searches.space.costs(each.architecture)[cost] for each in winners]
    axes.plot(costs, [each.fitness for each in winners], markersize=12, zorder=4, **look)
    return "winners" if searches.budgets else "winner", Line2D([], [], markersize=9, **look)
