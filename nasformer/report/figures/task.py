"""Figures of the strategies on a task: finals, the winner's curse, times, and Pareto fronts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from nasformer.report.figures.lines import Line, draw_lines
from nasformer.report.figures.picture import Picture
from nasformer.report.figures.rows import Row, draw_rows
from nasformer.report.notation import cost_name, duration
from nasformer.report.tables.table import Series
from nasformer.report.words import say

if TYPE_CHECKING:
    import pandas as pd

    from nasformer.report.statistics import Standing, TaskAnalysis

_BOX_FROM = 4
_LEAST = 1e-6


def draw_finals(task: TaskAnalysis, cells: pd.DataFrame, series: Series, name: str) -> Picture | None:
    """Return every run's confirmed winner, a dot per seed, with quartiles; best median first; None for one run."""
    mine, column = task.finals(cells)
    metric = task.record.metric.fitness
    optimum = task.record.optimum if column == "true" else None
    rows = []
    for label in (standing.label for standing in task.ranking):
        runs = mine[(mine.strategy == label) & mine[column].notna()]
        low, middle, high = np.quantile(runs[column].to_numpy(dtype=float), (0.25, 0.5, 0.75)).tolist()
        box = (low, middle, high) if len(runs) >= _BOX_FROM else None
        rows.append(Row(label, runs[column].tolist(), box))
    if sum(len(row.values) for row in rows) < 2:
        return None
    what, unit = (
        f"{each} without noise" if column == "true" else f"confirmed {each}" for each in (metric.title, metric.heading)
    )
    caption = say("figure_finals", what=what, boxes=any(row.box for row in rows), optimum=optimum)
    return draw_rows(name, "Value of every run's winner, by strategy", caption, rows, series, x=unit, mark=optimum)


def draw_curse(task: TaskAnalysis, cells: pd.DataFrame, series: Series, name: str) -> Picture | None:
    """Return the winners' values on search and test split; None without test values."""
    mine = cells[(cells.task == task.record.name) & cells["test"].notna() & cells["confirmed"].notna()]
    rows = []
    for label in (standing.label for standing in task.ranking if (mine.strategy == standing.label).any()):
        runs = mine[mine.strategy == label]
        search, test = float(runs["confirmed"].median()), float(runs["test"].median())
        low, high = runs["test"].quantile([0.25, 0.75])
        rows.append(Row(label, [search, test], line=(low, high)))
    title = "Winners on the search split and on the test split, by strategy"
    return draw_rows(name, title, say("figure_curse"), rows, series, x=task.record.metric.fitness.heading)


def draw_time_spent(task: TaskAnalysis, series: Series, name: str) -> Picture | None:
    """Return the strategy's and the fitness's time per evaluated architecture, by strategy, on a logarithmic axis."""
    times = {standing.label: _times(standing) for standing in task.ranking}

    def frame(axes: Axes) -> None:
        every = [seconds for pair in times.values() for seconds in pair]
        axes.set_xscale("log")
        low, high = math.floor(math.log10(0.8 * min(every))), math.ceil(math.log10(1.25 * max(every)))
        axes.set_xlim(10.0**low, 10.0**high)
        axes.xaxis.set_major_formatter(lambda value, position: duration(value))

    rows = [Row(label, pair, line=pair) for label, pair in times.items()]
    title, x = "Time in the strategy and in the evaluation", "time per evaluated architecture"
    return draw_rows(name, title, say("figure_time_spent"), rows, series, x=x, frame=frame)


def _times(standing: Standing) -> tuple[float, float]:
    evaluations = max(1.0, standing.evaluations or 1.0)
    spent = (standing.strategy_seconds or 0.0, standing.evaluation_seconds or 0.0)
    return max(_LEAST, spent[0] / evaluations), max(_LEAST, spent[1] / evaluations)


def draw_fronts(task: TaskAnalysis, series: Series, name: str) -> Picture | None:
    """Return the Pareto fronts of value and cost over all seeds of a strategy; None without fronts."""
    lines = [Line(label, each.costs.tolist(), each.values.tolist()) for label, each in task.fronts.items()]
    metric = task.record.metric.fitness
    what = cost_name(next(iter(task.fronts.values())).cost) if task.fronts else ""
    return draw_lines(
        name,
        f"Pareto fronts of {metric.title} against {what}, by strategy",
        f"Pareto front of {metric.title} and {what}, over all seeds of a strategy.",
        lines,
        series,
        x=what,
        y=metric.heading,
        steps=True,
        height=3.2 if len(lines) < 9 else 3.9,
        least=1,
        frame=Axes.autoscale,
    )
