"""Tables of the winners of several budgets, and of winners and rivals after training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from nasformer.report.interval import interval
from nasformer.report.notation import amount, cost_name, grouped, sentence, short_budget
from nasformer.report.searches import Finalist, Searches
from nasformer.report.tables.table import Cell, Table, bounds, columns, in_unit, number
from nasformer.report.words import say
from nasformer.tasks import Metric


def winners_table(searches: Searches) -> Table:
    """Return a row for each budget: its winner, with costs and value."""

    def cost(name: str, item: Any) -> Cell:
        return number(searches.space.costs(item[1].trial.architecture)[name], amount)

    cells: dict[str, Any] = {
        "budget": lambda item: short_budget(item[0]),
        searches.measure: lambda item: number(item[1].trial.value, searches.written),
        **{cost_name(name): partial(cost, name) for name in searches.space.known_costs},
        **({"found by": lambda item: f"{item[1].label}, seed {item[1].seed}"} if len(searches.results) > 1 else {}),
        "architecture": lambda item: str(item[1].trial.architecture),
    }
    caption = f"{sentence(searches.measure)} and costs of the best confirmed architecture within each budget."
    return columns("winners", caption, zip(searches.budgets, searches.winners, strict=True), cells)


def finalists_table(metric: Metric, finalists: Sequence[Finalist], examples: int | None) -> Table:
    """Return the winners and their rivals, by budget, with the number of test examples, if known."""
    cells = {
        "": lambda each: f"{each.budget}: {each.kind}",
        "parameters": lambda each: number(each.params, grouped),
        "MACs": lambda each: number(each.macs, grouped),
        f"test {metric.title}, inherited": lambda each: in_unit(each.inherited, metric),
        f"test {metric.title}, trained": lambda each: in_unit(each.trained, metric),
        "95 % interval": lambda each: bounds(interval(metric, {metric.name: each.trained}, examples)),
    }
    return columns("finalists", say("table_finalists", metric=metric), finalists, cells)
