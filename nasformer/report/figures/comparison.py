"""Figures of a comparison: anytime curves, finals, the winner's curse and fronts on a task, and ranks over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, SymmetricalLogLocator

from nasformer.report.figures.lines import Line, draw_lines
from nasformer.report.figures.picture import Picture, belongs, picture, plain
from nasformer.report.figures.rows import Row, draw_rows
from nasformer.report.notation import cost_name, points
from nasformer.report.palette import INK, style
from nasformer.report.tables.table import Series
from nasformer.report.words import say

if TYPE_CHECKING:
    import pandas as pd

    from nasformer.report.statistics import Across, TaskAnalysis
    from nasformer.report.statistics.curves import Curve
    from nasformer.report.statistics.runs import Floats

_BOX_FROM = 4
_ZERO = 1e-12
_DECADE = 8  # ratio of the regrets from which their axis is logarithmic


def draw_anytime(task: TaskAnalysis, series: Series, name: str) -> Picture | None:
    """Return each strategy's incumbent after each evaluation: its regret if the optimum is known, else its value."""
    regret, metric = bool(task.regret_curves), task.record.metric
    sign = 1 if regret else metric.sign
    lines = [
        Line(label, curve.evaluations.tolist(), *((sign * part).tolist() for part in _ends(curve, sign)))
        for label, curve in (task.regret_curves or task.curves).items()
        if np.isfinite(curve.median).any()
    ]
    what = "regret" if regret else f"best {metric.title}{'' if task.knows_true else ' seen'}"
    unit = points(metric).strip() if regret else metric.unit
    zero = regret and any(end is not None and end <= _ZERO for line in lines for end in line.low)

    def frame(axes: Axes) -> None:
        (_frame_regret if regret else _frame_values)(axes, lines)
        axes.set_xlim(0.93, 1.08 * max(2, *(line.x[-1] for line in lines)))

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
        height=_height(lines),
        least=1,
        frame=frame,
    )


def _ends(curve: Curve, sign: int) -> tuple[Floats, Floats, Floats]:
    """Return the median and the lower and upper edge of a curve whose sign may change."""
    return (curve.median, curve.low, curve.high) if sign > 0 else (curve.median, curve.high, curve.low)


def _height(lines: Sequence[Line]) -> float:
    return 3.2 if len(lines) < 9 else 3.9


def _frame_regret(axes: Axes, lines: Sequence[Line]) -> None:
    """Show regrets on a logarithmic axis if they span a decade, with zero at its bottom if it was reached."""
    values = np.concatenate([np.array(part, dtype=float) for line in lines for part in (line.low, line.high)])
    values = values[np.isfinite(values)]
    least, zero = float(values[values > _ZERO].min(initial=np.inf)), bool((values <= _ZERO).any())
    most = max(float(values.max()), least) if np.isfinite(least) else 1.0
    least = min(least, most)
    if zero or most > _DECADE * least:
        axes.set_yscale("symlog", linthresh=least, linscale=0.25)
        locator = SymmetricalLogLocator(base=10, linthresh=least, subs=(1, 2, 5) if most < 100 * least else (1,))
        locator.set_params(numticks=8)
        axes.yaxis.set_major_locator(locator)
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0 if zero else 0.9 * least, 1.15 * most)
    axes.yaxis.set_major_formatter(lambda value, position: f"{value:g}")


def _frame_values(axes: Axes, lines: Sequence[Line]) -> None:
    """Exclude the first evaluations from the y range: they would flatten the rest."""
    late = [edge[max(1, len(edge) // 5) :] for line in lines for edge in (line.low, line.high)]
    values = [end for edge in late for end in edge if end is not None and np.isfinite(end)]
    if values and max(values) > min(values):
        margin = 0.05 * (max(values) - min(values))
        axes.set_ylim(min(values) - margin, max(values) + margin)


def draw_finals(task: TaskAnalysis, cells: pd.DataFrame, series: Series, name: str) -> Picture | None:
    """Return every run's confirmed winner, a dot per seed, with quartiles; best median first; None for one run."""
    mine, column = task.finals(cells)
    metric, best = task.record.metric, task.record.optimum if column == "true" else None
    optimum = None if best is None else metric.sign * best
    rows = []
    for label in (standing.label for standing in task.ranking):
        values = metric.sign * mine[column][(mine.strategy == label) & mine[column].notna()].to_numpy(dtype=float)
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
        rows.append(Row(label, values.tolist(), (low, middle, high) if len(values) >= _BOX_FROM else None))
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
    rows, metric = [], task.record.metric
    for label in (standing.label for standing in task.ranking if (mine.strategy == standing.label).any()):
        runs = mine[mine.strategy == label]
        low, high = sorted(metric.sign * runs["test"].quantile([0.25, 0.75]))
        medians = [metric.sign * float(runs[split].median()) for split in ("confirmed", "test")]
        rows.append(Row(label, medians, line=(low, high)))
    title = "Winners on the search split and on the test split, by strategy"
    return draw_rows(name, title, say("figure_curse"), rows, series, x=metric.heading)


def draw_fronts(task: TaskAnalysis, series: Series, name: str) -> Picture | None:
    """Return the Pareto fronts of value and cost over all seeds of a strategy; None without fronts."""
    metric = task.record.metric
    lines = [
        Line(label, each.costs.tolist(), (metric.sign * each.values).tolist()) for label, each in task.fronts.items()
    ]
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
        height=_height(lines),
        least=1,
        frame=Axes.autoscale,
    )


def draw_critical_difference(across: Across, series: Series) -> Picture:
    """Return average ranks on an axis, best left; bars join what does not differ significantly (Demšar, JMLR 2006)."""
    import pandas as pd
    from scikit_posthocs import critical_difference_diagram

    labels = list(across.ranks)
    chances = pd.DataFrame(1.0, index=labels, columns=labels)
    if across.significant:
        chances = pd.DataFrame(across.p_values).loc[labels, labels]
    joined = bool((chances.to_numpy() > across.level).sum() > len(labels))

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        drawn = critical_difference_diagram(
            across.ranks,
            chances,
            alpha=across.level,
            ax=axes,
            label_fmt_left="{label}",
            label_fmt_right="{label}",
            label_props={"parse_math": False},
            color_palette={label: style(series[label]).colour for label in labels},
            crossbar_props={"color": INK.light, "linewidth": 2.5},
            marker_props={"s": 14},
            elbow_props={"linewidth": 1.1},
            text_h_margin=0.06 * len(labels),
        )
        for text, *others in zip(drawn["labels"], drawn["elbows"], drawn["markers"], strict=True):
            label = text.get_text()
            text.set(text=f" {plain(label)}  {across.ranks[label]:.2f} ", color=INK.light)
            belongs([text, *others], series[label])
        axes.set_xticks(range(1, len(labels) + 1))

    caption = say("figure_critical_difference", across=across, joined=joined)
    height = 0.95 + 0.22 * ((len(labels) + 1) // 2) + 0.1 * len(labels)
    return picture("critical-difference", "Average ranks over tasks", caption, paint, width=7.2, height=height)
