"""Tables of a diagnosis: the tested claims, and the measurements by piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.diagnose.rivals import SINGLE
from nasformer.report.notation import MISSING, compact, cost_name, estimate, grouped, sentence
from nasformer.report.tables.record import effort_rows
from nasformer.report.tables.table import (
    Cell,
    JsonObject,
    Series,
    Table,
    columns,
    facts,
    flattened,
    folded,
    in_unit,
    named,
    number,
)
from nasformer.report.words import say
from nasformer.tasks import Metric

PARTS = {"range": "whole range", "band": "within 10 %"}
"""Names of the samples of architectures."""

_MOODS = {"holds": "good", "does not hold": "bad"}
_FIGURES = {"params": "number of parameters", "macs": "number of MACs"}
Rows = Sequence[JsonObject]


def target(budget: Mapping[str, Any]) -> str:
    """Return a budget, briefly.

    >>> target({"macs": 1_700_000}), target({"params": [1000, 2000], "macs": 5000})
    ('1.7 M MACs', '1 k to 2 k parameters and 5 k MACs')
    """
    return " and ".join(f"{_ends(ends)} {cost_name(name)}" for name, ends in budget.items())


def _ends(ends: Any) -> str:
    known = [end for end in (ends if isinstance(ends, Sequence) else [ends]) if end is not None]
    return " to ".join(map(compact, known))


def cost_of(rows: Rows) -> str:
    """Return the cost that orders the budgets: MACs, or the first one that is bounded."""
    names = list(rows[0]["budget"])
    return "macs" if "macs" in names else names[0]


def by_kind(rows: Rows) -> dict[str, list[tuple[float, JsonObject]]]:
    """Return the networks of each kind with their budgets, ascending; kinds in the order of a budget that has all."""
    cost, found = cost_of(rows), dict[str, list[tuple[float, JsonObject]]]()
    for row in sorted(rows, key=lambda each: -len(each["networks"])):
        ends = row["budget"][cost]
        for entry in row["networks"]:
            found.setdefault(entry["name"], []).append((ends[-1] if isinstance(ends, Sequence) else ends, entry))
    return {name: sorted(each, key=lambda pair: pair[0]) for name, each in found.items()}


def ranked_by(piece: JsonObject) -> list[str]:
    """Return the names of the metrics that ranked in the piece "images"."""
    return [name for name, told in (piece["rows"] or ({},))[0].items() if isinstance(told, Mapping)]


def claims_table(claims: Rows, metric: Metric) -> Table:
    """Return the claims, the measurements, and whether the claims hold here."""
    cells = {
        "claim": lambda told: say("claim", told=told),
        "here": lambda told: say("here", told=told, metric=metric),
        "verdict": lambda told: Cell(told["verdict"], mood=_MOODS.get(told["verdict"], "")),
    }
    return columns("claims", say("table_claims"), claims, cells, wide=True, sortable=False)


def _interval(found: JsonObject, metric: Metric | None = None, *, sign: bool = True, hint: str = "") -> Cell:
    return Cell(estimate(found, metric, sign), found["value"], hint=hint)


def spent(piece: JsonObject) -> tuple[float, float]:
    """Return the least and the most that a network trained alone took of its part of the compute."""
    shares = [
        macs / piece["each"]
        for row in piece["rows"]
        for entry in row["networks"]
        for macs in entry["macs"]
        if "inherited" not in entry and entry["name"] != SINGLE
    ]
    return min(shares), max(shares)


def compute_table(piece: JsonObject, metric: Metric, series: Series) -> Table:
    """Return the mean test value of every kind of network under each budget, with the span of the seeds."""
    digits, rows = metric.digits, piece["rows"]

    def value(name: str, row: JsonObject) -> Cell:
        found = next((entry["test"] for entry in row["networks"] if entry["name"] == name), None)
        if found is None:
            return Cell(MISSING)
        return in_unit(float(np.mean(found)), metric, f"{min(found):.{digits}f} to {max(found):.{digits}f}")

    cells = [[named(name, series), *(value(name, row) for row in rows)] for name in by_kind(rows)]
    caption = f"Test {metric.title} at equal compute, by budget: mean, least and most of the seeds."
    return Table("compute", caption, ["network", *(target(row["budget"]) for row in rows)], cells)


def differences_table(piece: JsonObject, metric: Metric) -> Table:
    """Return the paired differences under each budget."""
    rivals = ("uniform", "best by hand", "early stopping", "best by hand", "one small ViT for all")
    header = [f"{'both alone: ' if place == 3 else ''}winner − {rival}" for place, rival in enumerate(rivals)]
    rows = [
        [target(row["budget"]), *(_interval(each["mean"], metric, hint=each["minus"]) for each in row["differences"])]
        for row in piece["rows"]
    ]
    caption = f"Paired differences in test {metric.heading}, with 95 % intervals over seeds."
    shown = max((len(row) for row in rows), default=1)
    return Table("differences", caption, ["budget", *header][:shown], rows, sortable=False)


def networks_table(piece: JsonObject, metric: Metric, series: Series) -> Table:
    """Return every network at equal compute."""
    items = [
        (target(row["budget"]), entry, seed)
        for row in piece["rows"]
        for entry in row["networks"]
        for seed in range(len(entry["costs"]))
    ]

    def cell(key: str, of: Callable[[Any], str]) -> Callable[[Any], str]:
        return lambda item: of(item[1][key][item[2]])

    cells = {
        "network": lambda item: named(item[1]["name"], series),
        "budget": lambda item: str(item[0]),
        "parameters": cell("costs", lambda costs: number(costs["params"], grouped)),
        "MACs": cell("costs", lambda costs: number(costs["macs"], grouped)),
        "MACs of training": cell("macs", lambda macs: number(macs, compact)),
        "epochs": cell("epochs", number),
        "test": cell("test", lambda value: in_unit(value, metric)),
        "architecture": cell("architectures", _architecture),
    }
    caption = f"Every network at equal compute, and its test {metric.title}; a winner's training is its fine-tuning."
    return columns("networks", caption, items, cells, folded=folded(len(items), "networks"))


def _architecture(told: JsonObject) -> str:
    return str(Architecture.from_dict(dict(told)))


def efficiency_table(piece: JsonObject, series: Series) -> Table:
    """Return the evaluations of each strategy until it passed the winner of the random ones, by seed."""
    rows = [
        [named(row["strategy"], series)]
        + [Cell("never") if count is None else number(count) for count in row["passed"]]
        for row in piece["rows"]
    ]
    most, random = piece["evaluations"], piece["random"]
    caption = f"Evaluations, of {most:,}, until a search passed the best of {random:,} random ones."
    return Table("efficiency", caption, ["strategy", *(f"seed {seed}" for seed in range(len(piece["targets"])))], rows)


def ranks_table(piece: JsonObject) -> Table:
    """Return the rank correlations of each figure with retraining, by sample."""
    names = {"ranking": f"inherited {piece['ranked_by']}", "inherited": "inherited objective", **_FIGURES}
    items = [(PARTS[part["name"]], row) for part in piece["parts"] for row in part["ranks"]]
    cells = {
        "ranked by": lambda item: f"{sentence(item[0])}: {names[item[1]['of']]}",
        "architectures": lambda item: number(item[1]["n"]),
        "Kendall τ": lambda item: _interval(item[1]["kendall"], sign=False),
        "p of τ": lambda item: number(item[1]["kendall"]["p"], "{:.2g}"),
        "Spearman ρ": lambda item: _interval(item[1]["spearman"], sign=False),
        "p of ρ": lambda item: number(item[1]["spearman"]["p"], "{:.2g}"),
    }
    return columns("ranks", say("table_ranks"), items, cells)


def fidelity_table(piece: JsonObject, metric: Metric) -> Table:
    """Return every architecture with its values."""
    items = [(PARTS[part["name"]], row) for part in piece["parts"] for row in part["rows"]]
    cells = {
        "architecture": lambda item: _architecture(item[1]["architecture"]),
        "sample": lambda item: item[0],
        "parameters": lambda item: number(item[1]["params"], grouped),
        "MACs": lambda item: number(item[1]["macs"], grouped),
        "inherited": lambda item: in_unit(item[1]["inherited"], metric),
        "retrained": lambda item: in_unit(item[1]["retrained"], metric),
        "retrained as long": lambda item: in_unit(item[1].get("long"), metric),
    }
    caption = f"Test {metric.title} of every architecture, over {piece['images']:,} examples."
    return columns("fidelity", caption, items, cells, folded=folded(len(items), "architectures"))


def images_table(piece: JsonObject) -> Table:
    """Return the agreement of rankings on subsets with that on all examples."""

    def agreement(kind: str) -> Callable[[Any], str]:
        return lambda row: _interval(row[kind], sign=False)

    kinds = {f"by {kind}": agreement(kind) for kind in ranked_by(piece)}
    cells = {"examples": lambda row: number(row["images"], grouped), **kinds}
    caption = f"Kendall τ between rankings on n and on all {piece['full']:,} search examples; 95 % of random subsets."
    return columns("images", caption, piece["rows"], cells)


def supernet_table(supernet: JsonObject) -> Table:
    """Return the diagnosed supernet and its training."""
    training = supernet.get("training") or {}
    rows = flattened({key: value for key, value in supernet.items() if key != "training"})
    rows += effort_rows(training, ("macs", "steps", "device", "processes"))
    return facts("supernet", "The supernet.", rows + flattened(training.get("recipe") or {}))


def changes(recipe: JsonObject, other: JsonObject) -> Mapping[str, object]:
    """Return the differences of another recipe.

    >>> changes({"epochs": 8, "seed": 0}, {"epochs": 1, "seed": 0})
    {'epochs': 1}
    """
    return {key: value for key, value in other.items() if recipe.get(key) != value}
