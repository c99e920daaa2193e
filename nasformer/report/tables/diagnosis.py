"""Tables of a diagnosis: measurements by piece, and the paper's claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from nasformer.architecture import Architecture
from nasformer.diagnose.claims import ABLATION
from nasformer.report.notation import MISSING, duration, grouped
from nasformer.report.tables.table import Cell, JsonObject, Table, facts, flattened, in_unit, number, without_empty
from nasformer.tasks import Metric

_MOODS = {"holds": "good", "does not hold": "bad"}
_FOLDED_FROM = 9
Rows = Sequence[JsonObject]


def claims_table(claims: Rows) -> Table:
    """Return the paper's claims, the measurements, and whether the claims hold here."""
    rows = []
    for told in claims:
        verdict = Cell(str(told["verdict"]), mood=_MOODS.get(str(told["verdict"]), ""))
        rows.append([str(told["claim"]), str(told["paper"]), str(told["here"]), verdict, str(told["why"])])
    caption = (
        "The paper's claims (its figures: ImageNet) and the measurements here. A verdict needs a 95 % interval that "
        "excludes the opposite; rank correlations are tested with Kendall's test."
    )
    return Table("claims", caption, ["claim", "paper", "here", "verdict", "why"], rows, wide=True, sortable=False)


def written(found: JsonObject | None, metric: Metric | None = None, *, sign: bool = False) -> str:
    """Return a figure with its interval, with the digits of a metric, if given.

    >>> written({"value": 1.5, "low": -0.25, "high": 3.0}, sign=True), written({"value": 0.5, "low": None})
    ('+1.50 (−0.25 to +3.00)', '0.50')
    """
    if not _known(found):
        return MISSING
    assert found is not None
    ends, decimals = [found.get(key) for key in ("value", "low", "high")], 2 if metric is None else metric.digits
    value, low, high = (None if end is None else _signed(end, decimals, sign) for end in ends)
    return f"{value}" if low is None or high is None else f"{value} ({low} to {high})"


def _known(found: JsonObject | None) -> bool:
    value = (found or {}).get("value")
    return value is not None and math.isfinite(value)


def _signed(value: float, decimals: int, sign: bool) -> str:
    return f"{value:{'+' if sign else ''}.{decimals}f}".replace("-", "−")


def _interval(found: JsonObject | None, metric: Metric | None = None, *, sign: bool = False) -> Cell:
    return Cell(written(found, metric, sign=sign), found["value"] if found is not None and _known(found) else None)


def _p(found: JsonObject | None) -> Cell:
    p = (found or {}).get("p")
    return Cell(MISSING) if p is None else Cell(f"{p:.2g}", p)


def ranks_table(piece: JsonObject) -> Table:
    """Return the rank correlations between evaluation methods."""
    rows = [
        [
            f"{_way(row['of'])} against {_way(row['against'])}",
            number(row["n"]),
            _interval(row["kendall"]),
            _p(row["kendall"]),
            _interval(row.get("spearman")),
            _p(row.get("spearman")),
        ]
        for row in piece["ranks"]
    ]
    caption = (
        "Rank correlations over the same architectures, with 95 % bootstrap intervals, which are too narrow for few "
        "architectures; p-values are for the null hypothesis of no correlation."
    )
    return without_empty(
        Table("ranks", caption, ["", "architectures", "Kendall τ", "p of τ", "Spearman ρ", "p of ρ"], rows)
    )


def _way(name: str) -> str:
    return {"finetuned": "fine-tuned", "params": "parameters", "macs": "MACs"}.get(name, name)


def fidelity_table(piece: JsonObject, metric: Metric) -> Table:
    """Return every architecture with its values."""
    rows = [
        [_architecture(row), number(row["params"], grouped(row["params"])), number(row["macs"], grouped(row["macs"]))]
        + [in_unit(row.get(key), metric) for key in ("inherited", "finetuned", "retrained")]
        for row in piece["architectures"]
    ]
    caption = f"Test {metric.title} of every architecture, over {piece['images']:,} examples."
    header = ["architecture", "parameters", "MACs", "inherited", "fine-tuned", "retrained"]
    return without_empty(_folded(Table("fidelity", caption, header, rows), "architectures"))


def _architecture(row: JsonObject) -> str:
    return str(Architecture.from_dict(dict(row["architecture"])))


def _folded(table: Table, what: str) -> Table:
    folded = f"All {len(table.rows):,} {what}" if len(table.rows) >= _FOLDED_FROM else ""
    return Table(table.name, table.caption, table.header, table.rows, folded=folded)


def gap_table(piece: JsonObject, metric: Metric) -> Table:
    """Return mean values by origin of the weights, and their paired differences."""
    rows = [[_way(row["name"]), number(row["n"]), _interval(row["mean"], metric)] for row in piece["rows"]]
    rows += [
        [f"{_way(row['of'])} − {_way(row['minus'])}", number(row["n"]), _interval(row["mean"], metric, sign=True)]
        for row in piece["differences"]
    ]
    caption = f"Mean test {metric.heading}, and paired differences, with 95 % intervals."
    return Table("gap", caption, ["", "architectures", "mean"], rows, sortable=False)


def sharing_table(piece: JsonObject, metric: Metric) -> Table:
    """Return both supernets: size, training time, inherited value and rank correlation."""
    rows = [
        [
            row["name"],
            number(row["parameters"], grouped(row["parameters"])),
            number(row["seconds"], duration(row["seconds"])),
            _interval(row["mean"], metric),
            _interval(row.get("kendall")),
        ]
        for row in piece["rows"]
    ]
    difference = piece["difference"]
    between = f"{difference['of']} − {difference['minus']}"
    rows.append(
        [between, Cell(MISSING), Cell(MISSING), _interval(difference["mean"], metric, sign=True), Cell(MISSING)]
    )
    caption = f"Supernets of both kinds, each trained for {piece['epochs']} epochs; intervals are over architectures."
    header = ["weights", "parameters", "training", f"inherited {metric.heading}", "Kendall τ against retrained"]
    return without_empty(Table("sharing", caption, header, rows, sortable=False))


def shared_table(piece: JsonObject, metric: Metric) -> Table:
    """Return every architecture's value with weights of each supernet."""
    columns = [row["architectures"] for row in piece["rows"]]
    rows = [
        [
            _architecture(same[0]),
            *(in_unit(each["inherited"], metric) for each in same),
            in_unit(same[0].get("retrained"), metric),
        ]
        for same in zip(*columns, strict=True)
    ]
    header = ["architecture", *(str(row["name"]) for row in piece["rows"]), "retrained"]
    caption = f"Inherited test {metric.title} of every architecture, by supernet."
    return without_empty(_folded(Table("shared", caption, header, rows), "architectures"))


def ablation_table(rows: Rows, metric: Metric) -> Table:
    """Return the paper's ablation: each search's winner in each supernet."""
    told = [
        [
            f"{row['sharing']}, {row['strategy']}",
            number(row["params"], grouped(row["params"])),
            in_unit(row["inherited"], metric),
            in_unit(row["retrained"], metric),
            _in_the_paper(row),
            _architecture(row),
        ]
        for row in rows
    ]
    header = ["weights, search", "parameters", "inherited", "retrained", "paper: inherited → retrained", "architecture"]
    caption = "The paper's ablation: the winner of a search in each supernet, on the test split (paper: ImageNet)."
    return Table("ablation", caption, header, told)


def _in_the_paper(row: JsonObject) -> str:
    found = ABLATION.get((row["sharing"], row["strategy"]))
    return MISSING if found is None else f"{found[0]:.1f} → {found[1]:.1f} %"


def strategies_table(piece: JsonObject, metric: Metric) -> Table:
    """Return search and test values of the winners, by strategy."""
    rows = [
        [
            row["strategy"],
            number(len(row["test"])),
            in_unit(median(row["search"]), metric),
            in_unit(median(row["test"]), metric),
            in_unit(max(row["test"]), metric),
            _interval(row["mean"], metric),
        ]
        for row in piece["rows"]
    ]
    size = f"{piece['evaluations']:,} evaluations on {piece['images']:,} search examples"
    caption = f"{metric.heading[:1].upper()}{metric.heading[1:]}, of the winners of {size}, by strategy."
    header = ["strategy", "seeds", "search, median", "test, median", "best", "mean"]
    return Table("strategies", caption, header, rows)


def contests_table(piece: JsonObject, metric: Metric) -> Table:
    """Return the paired differences between strategies."""
    rows = [
        [f"{row['of']} − {row['minus']}", _interval(row["mean"], metric, sign=True), number(row.get("p"))]
        for row in piece["differences"]
    ]
    caption = f"Test {metric.heading} of winners, paired by seed; p of Wilcoxon's signed-rank test."
    return Table("contests", caption, ["", "mean difference", "p"], rows, sortable=False)


def winner_table(piece: JsonObject, metric: Metric) -> Table:
    """Return the winner and its baseline."""
    rows = [
        [
            row["name"],
            number(row["params"], grouped(row["params"])),
            number(row["macs"], grouped(row["macs"])),
            in_unit(row["inherited"], metric),
            _interval(row["mean"], metric),
            ", ".join(f"{value:.{metric.digits}f}" for value in row["retrained"]),
        ]
        for row in piece["rows"]
    ]
    header = ["", "parameters", "MACs", "inherited", "retrained, mean", "each seed"]
    caption = (
        f"Test {metric.heading}, inherited and after {piece['epochs']} epochs of retraining; 95 % intervals over seeds."
    )
    return Table("winner", caption, header, rows)


def ranked_by(piece: JsonObject) -> list[str]:
    """Return the names of the metrics that ranked in the piece "images"."""
    return [name for name, told in (piece["rows"] or ({},))[0].items() if isinstance(told, Mapping)]


def images_table(piece: JsonObject) -> Table:
    """Return the agreement of rankings on subsets with that on all examples."""
    kinds = ranked_by(piece)
    rows = [
        [Cell(grouped(row["images"]), row["images"]), *(_interval(row.get(kind)) for kind in kinds)]
        for row in piece["rows"]
    ]
    caption = f"Kendall τ between rankings on n and on all {piece['full']:,} search examples; 95 % of random subsets."
    return without_empty(Table("images", caption, ["examples", *(f"by {kind}" for kind in kinds)], rows))


def curse_table(piece: JsonObject, metric: Metric) -> Table:
    """Return search and test values of the best of several."""
    rows = [
        [
            Cell(grouped(row["evaluations"]), row["evaluations"]),
            in_unit(row["search"], metric),
            in_unit(row["test"], metric),
            _interval(row.get("difference"), metric, sign=True),
        ]
        for row in piece["rows"]
    ]
    caption = f"Mean {metric.title} of the best of n architectures on the search split, which selected it, and on test."
    return without_empty(Table("curse", caption, ["best of", "search", "test", "search − test"], rows))


def supernet_table(supernet: JsonObject) -> Table:
    """Return the diagnosed supernet and its training."""
    training = supernet.get("training") or {}
    rows = flattened({key: value for key, value in supernet.items() if key != "training"})
    if "seconds" in training:
        rows.append(["time", duration(training["seconds"])])
    rows += flattened({key: training[key] for key in ("steps", "device", "processes") if key in training})
    return facts("supernet", "The supernet.", rows + flattened(training.get("recipe") or {}))


def changes(recipe: JsonObject, other: JsonObject) -> Mapping[str, object]:
    """Return the differences of another recipe.

    >>> changes({"epochs": 8, "seed": 0}, {"epochs": 1, "seed": 0})
    {'epochs': 1}
    """
    return {key: value for key, value in other.items() if recipe.get(key) != value}
