"""Finalists: the test objective of trained winners and rivals against the size of their budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasformer.report.figures.lines import Line, draw_lines
from nasformer.report.figures.picture import Picture
from nasformer.report.finalist import Finalist
from nasformer.report.interval import interval, split_size
from nasformer.report.notation import cost_name
from nasformer.report.searches import Searches


def draw_finalists(finalists: Sequence[Finalist], searches: Searches, data: Mapping[str, Any] | None) -> Picture | None:
    """Return a line for each kind of finalist, against the cost of the budgets; None with fewer than two budgets."""
    examples, lines = split_size(data, "test"), list[Line]()
    metric, cost = searches.finalist_metric, searches.cost_axis

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
        {line.label: number for number, line in enumerate(lines)},
        x=cost_name(cost),
        y=f"test {metric.heading}",
        log=True,
    )
