"""Pareto fronts of value and cost by strategy, over all seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import compact_ticks, label_ends
from nasformer.report.notation import amount, cost_name, fitting
from nasformer.report.palette import style

if TYPE_CHECKING:
    from nasformer.report.statistics import TaskAnalysis


def draw_fronts(task: TaskAnalysis, series: Mapping[str, int], name: str) -> Picture | None:
    """Return the fronts as steps; None without fronts."""
    shown = {label: front for label, front in task.fronts.items() if len(front.costs)}
    if not shown:
        return None
    metric = fitting(task.record.metric.fitness, (value for front in shown.values() for value in front.values))
    what = cost_name(next(iter(shown.values())).cost)

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        for label, front in shown.items():
            look = style(series[label])
            options: dict[str, Any] = {"marker": look.marker, "markersize": 3.5, "linestyle": look.line}
            steps = axes.plot(
                front.costs, front.values, color=look.colour, drawstyle="steps-post", linewidth=1.3, **options
            )
            belongs(steps, series[label])
        axes.xaxis.set_major_formatter(compact_ticks)
        axes.set_xlabel(what)
        axes.set_ylabel(metric.heading)
        axes.set_ylim(*axes.get_ylim())
        figure.canvas.draw()
        label_ends(axes, {label: float(front.values[-1]) for label, front in shown.items()}, series)
        for label, front in shown.items():
            points = list(zip(front.costs.tolist(), front.values.tolist(), strict=True))
            notes = [f"{amount(cost)} {what}: {metric.text(value)}" for cost, value in points]
            yield Trace(axes, series[label], label, front.costs.tolist(), front.values.tolist(), notes)

    caption = f"Pareto front of {metric.title} and {what}, over all seeds of a strategy."
    height = 3.2 if len(shown) < 9 else 3.9
    return picture(name, f"Pareto fronts of {metric.title} against {what}, by strategy", caption, paint, height=height)
