"""Table of the winners of several budgets."""

from __future__ import annotations

from nasformer.report.notation import amount, cost_name, sentence, short_budget
from nasformer.report.searches import Searches
from nasformer.report.tables.table import Table, number


def winners_table(searches: Searches) -> Table:
    """Return a row for each budget: its winner, with costs and value."""
    costs = list(searches.space.known_costs)
    several = len(searches.results) > 1
    header = ["budget", searches.measure, *map(cost_name, costs), *(["found by"] if several else []), "architecture"]
    rows = []
    for own, winner in zip(searches.budgets, searches.winners, strict=True):
        found, spent = winner.found, searches.space.costs(winner.found.architecture)
        by = [f"{winner.group.label}, seed {winner.result.seed}"] if several else []
        figures = [number(spent[name], amount(spent[name])) for name in costs]
        value = number(found.fitness, searches.written(found.fitness))
        rows.append([short_budget(own), value, *figures, *by, str(found.architecture)])
    caption = f"{sentence(searches.measure)} and costs of the best confirmed architecture within each budget."
    return Table("winners", caption, header, rows)
