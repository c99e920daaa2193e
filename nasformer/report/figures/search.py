"""Figures of searches: fitness against cost, images seen in races, trained finalists, and the supernet's training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, NullFormatter

from nasformer.compare.results import strategy_labels
from nasformer.report.figures.lines import Line, draw_lines
from nasformer.report.figures.picture import Picture
from nasformer.report.figures.scatter import Cloud, draw_clouds
from nasformer.report.figures.text import Entry
from nasformer.report.history import SUBNETS, followed, validations
from nasformer.report.interval import interval
from nasformer.report.notation import compact, cost_name, sentence
from nasformer.report.palette import INK, MUTED, PAPER
from nasformer.report.searches import Finalist, Searches
from nasformer.report.tables.table import numbered
from nasformer.report.words import say
from nasformer.search.front import undominated

_HALO = {"boxstyle": "square,pad=0.12", "facecolor": PAPER.light, "edgecolor": "none", "alpha": 0.75}
_OTHERS = 24
"""First number of curves that are no strategies, where the colours come round."""


def draw_cost_scatter(searches: Searches) -> Picture | None:
    """Return value against cost of every architecture; duplicates between the seeds of a strategy are drawn once."""
    cost, metric = searches.cost_axis, searches.metric
    what, labels = cost_name(cost), searches.comparison.labels
    clouds = [evaluated(searches, label, cost) for label in labels]

    def frame(axes: Axes) -> Sequence[Entry]:
        points = np.concatenate([np.column_stack([cloud.x, cloud.y]) for cloud in clouds])
        axes.plot(*undominated(*points.T), color=INK.light, linewidth=0.9, drawstyle="steps-post")
        axes.xaxis.set_major_formatter(EngFormatter())
        _budgets(axes, searches)
        return [_winners(axes, searches)]

    return draw_clouds(
        "cost-scatter",
        f"{sentence(searches.measure)} against {what} of all evaluated architectures",
        say("figure_cost_scatter", searches=searches, what=what),
        clouds,
        {label: number for number, label in enumerate(labels)},
        x=what,
        y="fitness" if metric is None else f"search {metric.fitness.heading}",
        frame=frame,
    )


def evaluated(searches: Searches, label: str, cost: str) -> Cloud:
    """Return the distinct architectures of a strategy with their values, without probes and failures."""
    trials = searches.comparison.trials
    mine = trials[(trials.strategy == label) & trials.value.notna()].drop_duplicates(["architecture", "value"])
    return Cloud(label, mine[cost].tolist(), mine.value.tolist())


def _budgets(axes: Axes, searches: Searches) -> None:
    """Draw the budgets: one with its name, several as the ticks of a logarithmic axis."""
    limits = searches.budgets or (searches.limits,)
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


def _winners(axes: Axes, searches: Searches) -> Entry:
    """Mark the winners, and return their entry in the key."""
    winners, cost = [each.trial for each in searches.winners or [searches.winner]], searches.cost_axis
    look: dict[str, Any] = {"marker": "*", "color": INK.light, "linestyle": "none"}
    costs = [searches.space.costs(each.architecture)[cost] for each in winners]
    axes.plot(costs, [each.value or 0.0 for each in winners], markersize=12, zorder=4, **look)
    return "winners" if searches.budgets else "winner", Line2D([], [], markersize=9, **look), None


def draw_images_seen(searches: Searches) -> Picture | None:
    """Return the images of every architecture in each strategy's first run; None if none was dropped early."""
    named = zip(strategy_labels(searches.results), searches.results, strict=True)
    runs = dict(sorted(named, key=lambda run: -run[1].seed))
    labels, clouds, spent = searches.comparison.labels, list[Cloud](), list[tuple[str, int, int]]()
    for label in labels:
        raced = [(trial.number + 1, trial.images, trial.dropped) for trial in runs[label].trials if trial.images]
        for hollow in (True, False):
            mine = [(place, images) for place, images, dropped in raced if bool(dropped) is hollow]
            clouds.append(Cloud(label, [each[0] for each in mine], [each[1] for each in mine], hollow=hollow))
        if raced:
            seen = [images for _, images, _ in raced]
            spent.append((label, sum(seen), max(seen) * len(seen)))
    if not any(cloud.hollow and cloud.x for cloud in clouds):
        return None

    def frame(axes: Axes) -> Sequence[Entry]:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(EngFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
        return ()

    return draw_clouds(
        "images-seen",
        "Images spent on each architecture",
        say("figure_images_seen", spent=spent, several=len(searches.results) > len(labels)),
        clouds,
        {label: number for number, label in enumerate(labels)},
        x="evaluated architectures",
        y="images seen",
        frame=frame,
    )


def draw_finalists(finalists: Sequence[Finalist], searches: Searches, examples: int | None) -> Picture | None:
    """Return a line for each kind of finalist, against the cost of the budgets; None with fewer than two budgets."""
    metric, cost, lines = searches.finalist_metric, searches.cost_axis, list[Line]()

    def spent(finalist: Finalist) -> float:
        return searches.space.costs(finalist.architecture)[cost]

    for kind in dict.fromkeys(each.kind for each in finalists):
        own = sorted((each for each in finalists if each.kind == kind), key=spent)
        ends = [interval(metric, {metric.name: each.trained}, examples) for each in own]
        edges = ([end and end.low for end in ends], [end and end.high for end in ends]) if all(ends) else ((), ())
        lines.append(Line(kind, [*map(spent, own)], [each.trained for each in own], *edges))
    return draw_lines(
        "finalists",
        f"Test {metric.title} of the winners and their rivals",
        f"Test {metric.title} after training, a point per budget; bands are 95 % intervals over test examples.",
        lines,
        numbered(),
        x=cost_name(cost),
        y=f"test {metric.heading}",
        log=True,
    )


def draw_learning_curve(training: Mapping[str, Any]) -> Picture | None:
    """Return the validation of the smallest, centroid and largest subnet; None with fewer than two epochs."""
    rows, metric = validations(training), followed(training)
    lines = []
    for name in SUBNETS:
        known = [(epoch, scores[name]) for epoch, scores in rows if name in scores]
        lines.append(Line(name, [epoch for epoch, _ in known], [value for _, value in known]))
    return draw_lines(
        "learning-curve",
        f"Validation {metric.title} of three subnets by epoch",
        f"Validation {metric.title} of three subnets, on the search split, which is not trained on.",
        lines,
        {name: _OTHERS + number for number, name in enumerate(SUBNETS)},
        x="epoch",
        y=f"validation {metric.heading}",
        height=2.6,
    )
