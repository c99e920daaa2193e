"""Scatter plots with a key above: value against cost, images seen in races, and the agreement of two values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, NullFormatter

from nasformer.report.figures.picture import Entry, Picture, belongs, entry, key, picture
from nasformer.report.notation import compact, cost_name, sentence, shortened
from nasformer.report.palette import INK, MUTED, PAPER, style
from nasformer.report.words import say
from nasformer.search.front import undominated
from nasformer.search.result import RUNNING, SearchResult
from nasformer.tasks import Metric

_HALO = {"boxstyle": "square,pad=0.12", "facecolor": PAPER.light, "edgecolor": "none", "alpha": 0.75}
_NEAR = 2.0
_LONGEST = 50
_LARGE_UP_TO, _VECTOR_UP_TO = 200, 4000


class Cloud(NamedTuple):
    """A series of points."""

    label: str  # sets the colour
    x: Sequence[float]
    y: Sequence[float]
    remark: str = ""  # beside the label, such as a rank correlation
    hollow: bool = False  # whether the markers are open, and not in the key


def draw_clouds(
    name: str,
    title: str,
    caption: str,
    clouds: Sequence[Cloud],
    series: Mapping[str, int],
    *,
    x: str,
    y: str,
    frame: Callable[[Axes], Sequence[Entry]] = lambda axes: (),
) -> Picture | None:
    """Return the scatter plot of the non-empty clouds; None if all are empty.

    ``frame`` draws more onto the axes, and returns further entries of the key.
    """
    shown = [cloud for cloud in clouds if len(cloud.x)]
    count = sum(len(cloud.x) for cloud in shown)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for cloud in shown:
            look = style(series[cloud.label])
            dots = axes.scatter(
                cloud.x,
                cloud.y,
                s=20 if count <= _LARGE_UP_TO else 9,
                facecolor="none" if cloud.hollow else look.colour,
                edgecolor=look.colour,
                marker=look.marker,
                alpha=0.6,
                linewidths=0.7 if cloud.hollow else 0,
                rasterized=count > _VECTOR_UP_TO,
            )
            belongs(dots, series[cloud.label])
        more = frame(axes)
        axes.set_xlabel(shortened(x, _LONGEST), parse_math=False)
        axes.set_ylabel(shortened(y, _LONGEST), parse_math=False)
        named = [(cloud, f"{cloud.label}, {cloud.remark}" if cloud.remark else cloud.label) for cloud in shown]
        entries = [entry(label, series[cloud.label]) for cloud, label in named if not cloud.hollow]
        if more or len(entries) > 1 or any(cloud.remark for cloud in shown):
            key(figure, [*entries, *more])

    return picture(name, title, caption, paint, height=3.4) if shown else None


def draw_agreement(
    name: str, title: str, caption: str, clouds: Sequence[Cloud], series: Mapping[str, int], *, x: str, y: str
) -> Picture | None:
    """Return two values of the same architectures, with the identity line if it is close enough to the points."""
    xs, ys = [x for cloud in clouds for x in cloud.x], [y for cloud in clouds for y in cloud.y]
    span = max(max(xs) - min(xs), max(ys) - min(ys))
    near = max(min(xs), min(ys)) - min(max(xs), max(ys)) <= _NEAR * span

    def identity(axes: Axes) -> Sequence[Entry]:
        ends = [*axes.get_xlim(), *axes.get_ylim()]
        if near:
            axes.set_xlim(min(ends), max(ends))
            axes.set_ylim(min(ends), max(ends))
            axes.axline((min(ends), min(ends)), slope=1, color=MUTED.light, linewidth=0.9, linestyle=(0, (4, 2)))
        return ()

    where = "Dashed: the identity line." if near else "The identity line is outside the plot."
    return draw_clouds(name, title, f"{caption} {where}", clouds, series, x=x, y=y, frame=identity)


def draw_cost_scatter(result: SearchResult, metric: Metric) -> Picture | None:
    """Return value against cost of every evaluated architecture, with the front, the budgets and the winners."""
    cost, sign = result.budget_cost, metric.sign
    what = cost_name(cost)
    points = [(trial.costs[cost], trial.value) for trial in result.trials if trial.eligible]
    costs, values = np.array(points, dtype=float).reshape(-1, 2).T
    winners = [(result.space.costs(each.architecture)[cost], sign * each.fitness) for each in result.winners]

    def frame(axes: Axes) -> Sequence[Entry]:
        front, best = undominated(costs, values)
        axes.plot(front, sign * best, color=INK.light, linewidth=0.9, drawstyle="steps-post")
        axes.xaxis.set_major_formatter(EngFormatter())
        _draw_budgets(axes, result)
        look: dict[str, Any] = {"marker": "*", "color": INK.light, "linestyle": "none"}
        axes.plot(*zip(*winners, strict=True), markersize=12, zorder=4, **look)
        label = "best so far" if result.stopped == RUNNING else "winners" if result.budgets else "winner"
        return [(label, Line2D([], [], markersize=9, **look), None)]

    return draw_clouds(
        "cost-scatter",
        f"{sentence(metric.title)} against {what} of all evaluated architectures",
        say("figure_cost_scatter", result=result, metric=metric, what=what),
        [Cloud(result.strategy, costs.tolist(), (sign * values).tolist())],
        {result.strategy: 0},
        x=what,
        y=f"search {metric.heading}",
        frame=frame,
    )


def _draw_budgets(axes: Axes, result: SearchResult) -> None:
    """Draw the budgets: one with its name, several as the ticks of a logarithmic axis."""
    limits = result.budgets or (result.limits,)
    ends = dict.fromkeys(end for own in limits for end in own.get(result.budget_cost, ()) if end is not None)
    for end in ends:
        axes.axvline(end, color=MUTED.light, linewidth=0.7 if result.budgets else 1, linestyle=(0, (4, 2)))
    if result.budgets:
        axes.set_xscale("log")
        axes.set_xticks(list(ends), [compact(end) for end in ends])
        axes.minorticks_off()
        return
    look: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "bottom", "fontsize": 8.5, "bbox": _HALO}
    for end in ends:
        place: dict[str, Any] = {"xytext": (-4, 5), "textcoords": "offset points"}
        axes.annotate(f"budget {compact(end)}", (end, 0), xycoords=("data", "axes fraction"), **place, **look)


def draw_images_seen(result: SearchResult) -> Picture | None:
    """Return the images that each architecture was evaluated on; None if none was dropped early."""
    raced = [(trial.number + 1, trial.images, trial.dropped) for trial in result.trials if trial.images]
    if not any(dropped for *_, dropped in raced):
        return None
    seen = [images for _, images, _ in raced]
    clouds = []
    for hollow in (True, False):
        mine = [(place, images) for place, images, dropped in raced if dropped is hollow]
        clouds.append(Cloud(result.strategy, [at for at, _ in mine], [images for _, images in mine], hollow=hollow))

    def frame(axes: Axes) -> Sequence[Entry]:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(EngFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        return ()

    return draw_clouds(
        "images-seen",
        "Images spent on each architecture",
        say("figure_images_seen", seen=sum(seen), most=max(seen) * len(seen)),
        clouds,
        {result.strategy: 0},
        x="evaluated architectures",
        y="images seen",
        frame=frame,
    )
