"""Finals: value of each run's confirmed winner, one dot per seed, with quartiles per strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import name_rows
from nasformer.report.notation import fitting, sentence
from nasformer.report.palette import MUTED, PAPER, style
from nasformer.tasks import Metric

if TYPE_CHECKING:
    import pandas as pd

    from nasformer.report.statistics import TaskAnalysis

Series = Mapping[str, int]
_HEIGHT = 0.27
_BOX_FROM = 4


def draw_finals(task: TaskAnalysis, cells: pd.DataFrame, series: Series, name: str) -> Picture:
    """Return the figure, a row per strategy, best median first."""
    mine = cells[cells.task == task.record.name]
    column = "true" if task.knows_true and mine["true"].notna().all() else "confirmed"
    labels = [standing.label for standing in task.ranking]
    metric = fitting(task.record.metric.fitness, mine[column])
    optimum = task.record.optimum if column == "true" else None

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        traces = []
        for row, label in enumerate(labels):
            runs = mine[(mine.strategy == label) & mine[column].notna()].sort_values("seed")
            traces.append(_row(axes, row, label, runs, column, series[label], metric))
        if optimum is not None:
            axes.axvline(optimum, color=MUTED.light, linewidth=1, linestyle=(0, (4, 2)))
        _frame(axes, labels)
        axes.set_xlabel(_what(column, metric.heading))
        yield from traces

    most = max(standing.n for standing in task.ranking)
    box = "; box and bar: quartiles and median" if most >= _BOX_FROM else ""
    caption = f"{sentence(_what(column, metric.title))} of every run's winner, one dot per seed{box}."
    caption += " Dashed: the optimum." if optimum is not None else ""
    title = "Value of every run's winner, by strategy"
    return picture(name, title, caption, paint, height=0.75 + 0.3 * max(3, len(labels)))


def _what(column: str, name: str) -> str:
    return f"{name} without noise" if column == "true" else f"confirmed {name}"


def _row(axes: Axes, row: int, label: str, runs: pd.DataFrame, column: str, number: int, metric: Metric) -> Trace:
    look, values = style(number), runs[column].to_numpy(dtype=float)
    shift = _HEIGHT * (((np.arange(len(values)) * 0.618034) % 1) - 0.5) if len(values) > 1 else np.zeros(1)
    heights = row + 1.7 * shift[: len(values)]
    if len(values) >= _BOX_FROM:
        _box(axes, row, values, number)
    options: dict[str, Any] = {
        "color": look.colour,
        "markersize": 3.6,
        "linestyle": "none",
        "alpha": 0.75,
        "markeredgewidth": 0,
    }
    belongs(axes.plot(values, heights, look.marker, **options), number)
    notes = [f"seed {seed}: {metric.text(value)}" for seed, value in zip(runs["seed"], values, strict=True)]
    return Trace(axes, number, label, values.tolist(), heights.tolist(), notes)


def _box(axes: Axes, row: int, values: np.ndarray[tuple[int], np.dtype[np.float64]], number: int) -> None:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    colour = style(number).colour
    box = axes.barh(row, high - low, left=low, height=2 * _HEIGHT, color=colour, alpha=0.14, linewidth=0)
    bar = axes.plot([middle, middle], [row - _HEIGHT, row + _HEIGHT], color=colour, linewidth=2, zorder=3)
    belongs([*box, *bar], number)


def _frame(axes: Axes, labels: list[str]) -> None:
    axes.use_sticky_edges = False
    axes.margins(x=0.04)
    low, high = axes.dataLim.intervalx
    if low == high:  # Matplotlib's default margin of five percent could exceed an accuracy of 100 %
        room = 0.005 * abs(low) or 0.5
        axes.set_xlim(low - room, high + room)
    name_rows(axes, labels)
    axes.locator_params(axis="x", nbins=6)
    axes.ticklabel_format(axis="x", useOffset=False)


def draw_curse(task: TaskAnalysis, cells: pd.DataFrame, series: Series, name: str) -> Picture | None:
    """Return the winners' values on search and test split; None without test values."""
    mine = cells[(cells.task == task.record.name) & cells["test"].notna() & cells["confirmed"].notna()]
    if mine.empty:
        return None
    labels = [standing.label for standing in task.ranking if (mine.strategy == standing.label).any()]

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        traces = []
        for row, label in enumerate(labels):
            traces.append(_shrunk(axes, row, label, mine[mine.strategy == label], series[label]))
        _frame(axes, labels)
        axes.set_xlabel(task.record.metric.fitness.heading)
        yield from traces

    caption = (
        "The winner's curse: median over seeds of the winners' value on the search split (filled), which selected "
        "them, and on the held-out test split (open); the thin line spans the test quartiles. The splits are different "
        "images, so values differ a little even without selection bias."
    )
    title = "Winners on the search split and on the test split, by strategy"
    return picture(name, title, caption, paint, height=0.75 + 0.3 * max(3, len(labels)))


def _shrunk(axes: Axes, row: int, label: str, runs: pd.DataFrame, number: int) -> Trace:
    look = style(number)
    search, test = float(runs["confirmed"].median()), float(runs["test"].median())
    low, high = runs["test"].quantile([0.25, 0.75])
    drawn = axes.plot([low, high], [row, row], color=look.colour, linewidth=1)
    drawn += axes.plot(search, row, look.marker, color=look.colour, markersize=6, markeredgewidth=1.4)
    open_marker: dict[str, Any] = {"markerfacecolor": PAPER.light, "markersize": 6, "markeredgewidth": 1.4}
    drawn += axes.plot(test, row, look.marker, color=look.colour, **open_marker)
    belongs(drawn, number)
    notes = [f"search {search:.5g}", f"test {test:.5g} ({test - search:+.3g})"]
    return Trace(axes, number, label, [search, test], [row, row], notes)
