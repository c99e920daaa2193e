"""Tables of a diagnosis: the tested claims, and the measurements by piece."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.diagnose.rivals import SINGLE
from nasformer.report.notation import MISSING, compact, cost_name, duration, grouped, sentence
from nasformer.report.tables.table import Cell, JsonObject, Table, facts, flattened, in_unit, number, without_empty
from nasformer.tasks import Metric

PARTS = {"range": "whole range", "band": "within 10 %"}
"""Names of the samples of architectures."""

_MOODS = {"holds": "good", "does not hold": "bad"}
_FOLDED_FROM = 9
_FIGURES = {"params": "number of parameters", "macs": "number of MACs"}
Rows = Sequence[JsonObject]
Series = Mapping[str, int]


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


def numbers(pieces: Mapping[str, JsonObject]) -> dict[str, int]:
    """Return a number, and thus a colour, for every name in the figures, the same in all of them."""
    return {name: number for number, name in enumerate(dict.fromkeys(_names(pieces)))}


def _names(pieces: Mapping[str, JsonObject]) -> Iterator[str]:
    yield from by_kind(pieces["compute"]["rows"]) if "compute" in pieces else ()
    if "efficiency" in pieces:
        piece = pieces["efficiency"]
        yield from (row["strategy"] for row in piece["rows"])
        yield f"best of {piece['random']:,} random"
    yield from (*PARTS.values(), "gap")
    yield from ranked_by(pieces["images"]) if "images" in pieces else ()


def ranked_by(piece: JsonObject) -> list[str]:
    """Return the names of the metrics that ranked in the piece "images"."""
    return [name for name, told in (piece["rows"] or ({},))[0].items() if isinstance(told, Mapping)]


def claims_table(claims: Rows) -> Table:
    """Return the claims, the measurements, and whether the claims hold here."""
    rows = []
    for told in claims:
        verdict = Cell(str(told["verdict"]), mood=_MOODS.get(str(told["verdict"]), ""))
        rows.append([str(told["claim"]), str(told["here"]), verdict])
    caption = (
        "What a search with a supernet claims. A verdict needs a 95 % interval that excludes the opposite; rank "
        "correlations are tested with Kendall's test."
    )
    return Table("claims", caption, ["claim", "here", "verdict"], rows, wide=True, sortable=False)


def written(found: JsonObject | None, metric: Metric | None = None, *, sign: bool = False) -> str:
    """Return a figure with its interval, with the digits of a metric, if given.

    >>> written({"value": 1.5, "low": -0.25, "high": 3.0}, sign=True), written({"value": 0.5, "low": None})
    ('+1.50 (−0.25 to +3.00)', '0.50')
    """
    if found is None or found["value"] is None or not math.isfinite(found["value"]):
        return MISSING
    decimals = 2 if metric is None else metric.digits
    told = (found.get(key) for key in ("value", "low", "high"))
    value, low, high = (
        None if end is None else f"{end:{'+' if sign else ''}.{decimals}f}".replace("-", "−") for end in told
    )
    return f"{value}" if low is None or high is None else f"{value} ({low} to {high})"


def _interval(found: JsonObject, metric: Metric | None = None, *, sign: bool = False, hint: str = "") -> Cell:
    return Cell(written(found, metric, sign=sign), found["value"], hint=hint)


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
    kinds, digits = by_kind(piece["rows"]), metric.digits
    budgets = [row["budget"] for row in piece["rows"]]
    rows = []
    for name in kinds:
        cells = [Cell(name, series=series[name])]
        for row in piece["rows"]:
            found = [entry["test"] for entry in row["networks"] if entry["name"] == name]
            low, high = (min(found[0]), max(found[0])) if found else (0, 0)
            cells.append(
                in_unit(float(np.mean(found[0])), metric, f"{low:.{digits}f} to {high:.{digits}f}")
                if found
                else Cell(MISSING)
            )
        rows.append(cells)
    caption = f"Test {metric.title} at equal compute, by budget: mean, least and most of the seeds."
    return Table("compute", caption, ["network", *map(target, budgets)], rows)


def differences_table(piece: JsonObject, metric: Metric) -> Table:
    """Return the paired differences under each budget."""
    rows = [
        [
            Cell(target(row["budget"])),
            *(_interval(each["mean"], metric, sign=True, hint=each["minus"]) for each in row["differences"]),
        ]
        for row in piece["rows"]
    ]
    header = [
        "budget",
        "winner − uniform",
        "winner − best by hand",
        "winner − early stopping",
        "both alone: winner − best by hand",
        "winner − one small ViT for all",
    ]
    caption = f"Paired differences in test {metric.heading}, with 95 % intervals over seeds."
    return Table("differences", caption, header, rows, sortable=False)


def networks_table(piece: JsonObject, metric: Metric, series: Series) -> Table:
    """Return every network at equal compute."""
    rows = [
        [
            Cell(entry["name"], series=series[entry["name"]]),
            Cell(target(row["budget"])),
            *(number(costs[name], grouped(costs[name])) for name in ("params", "macs")),
            number(entry["macs"][seed], compact(entry["macs"][seed])),
            number(entry["epochs"][seed]),
            in_unit(entry["test"][seed], metric),
            _architecture(entry["architectures"][seed]),
        ]
        for row in piece["rows"]
        for entry in row["networks"]
        for seed, costs in enumerate(entry["costs"])
    ]
    header = ["network", "budget", "parameters", "MACs", "MACs of training", "epochs", "test", "architecture"]
    caption = f"Every network at equal compute, and its test {metric.title}; a winner's training is its fine-tuning."
    return _folded(Table("networks", caption, header, rows), "networks")


def _architecture(told: JsonObject) -> str:
    return str(Architecture.from_dict(dict(told)))


def _folded(table: Table, what: str) -> Table:
    folded = f"All {len(table.rows):,} {what}" if len(table.rows) >= _FOLDED_FROM else ""
    return Table(table.name, table.caption, table.header, table.rows, folded=folded)


def efficiency_table(piece: JsonObject, series: Series) -> Table:
    """Return the evaluations of each strategy until it passed the winner of the random ones, by seed."""
    rows = [
        [Cell(row["strategy"], series=series[row["strategy"]])]
        + [Cell("never") if count is None else number(count) for count in row["passed"]]
        for row in piece["rows"]
    ]
    most, random = piece["evaluations"], piece["random"]
    caption = f"Evaluations, of {most:,}, until a search passed the best of {random:,} random ones."
    return Table("efficiency", caption, ["strategy", *(f"seed {seed}" for seed in range(len(piece["targets"])))], rows)


def ranks_table(piece: JsonObject) -> Table:
    """Return the rank correlations of each figure with retraining, by sample."""
    names = {"ranking": f"inherited {piece['ranked_by']}", "inherited": "inherited objective", **_FIGURES}
    rows = [
        [f"{sentence(PARTS[part['name']])}: {names[row['of']]}", number(row["n"])]
        + [
            cell
            for key in ("kendall", "spearman")
            for cell in (_interval(row[key]), number(row[key]["p"], f"{row[key]['p']:.2g}"))
        ]
        for part in piece["parts"]
        for row in part["ranks"]
    ]
    caption = (
        "Rank correlations with retraining, with 95 % bootstrap intervals, which are too narrow for few architectures; "
        "p-values are for the null hypothesis of no correlation."
    )
    return Table("ranks", caption, ["ranked by", "architectures", "Kendall τ", "p of τ", "Spearman ρ", "p of ρ"], rows)


def fidelity_table(piece: JsonObject, metric: Metric) -> Table:
    """Return every architecture with its values."""
    rows = [
        [_architecture(row["architecture"]), PARTS[part["name"]]]
        + [number(row[name], grouped(row[name])) for name in ("params", "macs")]
        + [in_unit(row.get(name), metric) for name in ("inherited", "retrained", "long")]
        for part in piece["parts"]
        for row in part["rows"]
    ]
    caption = f"Test {metric.title} of every architecture, over {piece['images']:,} examples."
    header = ["architecture", "sample", "parameters", "MACs", "inherited", "retrained", "retrained as long"]
    return without_empty(_folded(Table("fidelity", caption, header, rows), "architectures"))


def images_table(piece: JsonObject) -> Table:
    """Return the agreement of rankings on subsets with that on all examples."""
    kinds = ranked_by(piece)
    rows = [
        [Cell(grouped(row["images"]), row["images"]), *(_interval(row[kind]) for kind in kinds)]
        for row in piece["rows"]
    ]
    caption = f"Kendall τ between rankings on n and on all {piece['full']:,} search examples; 95 % of random subsets."
    return Table("images", caption, ["examples", *(f"by {kind}" for kind in kinds)], rows)


def supernet_table(supernet: JsonObject) -> Table:
    """Return the diagnosed supernet and its training."""
    training = supernet.get("training") or {}
    rows = flattened({key: value for key, value in supernet.items() if key != "training"})
    if "seconds" in training:
        rows.append(["time", duration(training["seconds"])])
    rows += flattened({key: training[key] for key in ("macs", "steps", "device", "processes") if key in training})
    return facts("supernet", "The supernet.", rows + flattened(training.get("recipe") or {}))


def changes(recipe: JsonObject, other: JsonObject) -> Mapping[str, object]:
    """Return the differences of another recipe.

    >>> changes({"epochs": 8, "seed": 0}, {"epochs": 1, "seed": 0})
    {'epochs': 1}
    """
    return {key: value for key, value in other.items() if recipe.get(key) != value}
