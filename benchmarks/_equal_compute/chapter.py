"""Equal compute on the page of a diagnosis: its claims, figures and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks._equal_compute.measure import SINGLE
from nasformer.architecture import Architecture
from nasformer.diagnose.intervals import IntervalEstimate
from nasformer.diagnose.page import budget_text
from nasformer.diagnose.piece import (
    Chapter,
    Claim,
    Context,
    JsonObject,
    Verdict,
    architecture_text,
    estimate_cell,
    estimate_tile,
    spread_line,
)
from nasformer.report.figures import draw_architecture, draw_lines
from nasformer.report.notation import MISSING, compact, cost_name, counted, estimate, grouped, points
from nasformer.report.tables.table import Cell, Series, Table, columns, folded, in_unit, named, number
from nasformer.tasks import Metric

MAJORITY = 0.6
"""Share of the budgets at which the winners have to be better."""

_GAINS = {"uniform": ("gain", 0), "by_hand": ("gain_by_hand", 1), "single": ("gain_over_single", 4)}
"""Of claims about the winners: the mean gain in the piece, and the place of the paired differences by budget."""

_CLAIMS = {
    "uniform": "Winners are better than uniform ViTs at equal total compute",
    "by_hand": "Winners are better than the best hand-scaled ViTs at equal total compute",
    "single": "Winners are better than one small ViT with the total compute",
    "alone": "Winners are better architectures than the best hand-scaled ViTs, trained alone alike",
}
Rows = Sequence[JsonObject]


def claims(piece: JsonObject, metric: Metric) -> Iterator[Claim]:
    """Test whether winners are better: the whole interval of the gain is above zero, or at most budgets."""
    rows = piece["rows"]
    for claim, (gain, place) in _GAINS.items():
        yield {"claim": claim, "effect": piece[gain], **_counts(rows, place), "verdict": _above(piece[gain])}
    found, most = _counts(rows, 3), MAJORITY * len(rows)
    verdict = "holds" if found["better"] >= most else "does not hold" if found["worse"] >= most else "not decided"
    yield {"claim": "alone", **found, "verdict": verdict}


def _counts(rows: Rows, place: int) -> dict[str, int]:
    """Return at how many budgets a paired difference is significant."""
    found = [_above(row["differences"][place]["mean"]) for row in rows]
    return {"better": found.count("holds"), "worse": found.count("does not hold"), "budgets": len(rows)}


def _above(found: IntervalEstimate) -> Verdict:
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return "not decided"
    return "holds" if low > 0 else "does not hold" if high < 0 else "not decided"


def describe(claim: Claim, metric: Metric) -> tuple[str, str]:
    """Return a claim in words, and what was measured."""
    here = f"significant at {claim['better']} of {claim['budgets']} budgets, worse at {claim['worse']}"
    if "effect" in claim:
        value, _, ends = estimate(claim["effect"], metric, sign=True).partition(" ")
        unit = " points" if metric.unit == "%" else points(metric)
        here = f"{value}{unit} {ends}{'' if metric.higher_is_better else f' of {metric.fitness.title}'}; {here}"
    return _CLAIMS[claim["claim"]], " ".join(here.split())


def chapter(piece: JsonObject, context: Context) -> Chapter:
    """Return the chapter."""
    rows, metric, series = piece["rows"], context.metric, context.series
    tables = [
        _means_table(rows, metric, series),
        _differences_table(rows, metric),
        _networks_table(rows, metric, series),
    ]
    tiles = [
        estimate_tile("gain over uniform ViTs", piece["gain"], metric, points(metric)),
        estimate_tile("gain over hand-scaled ViTs", piece["gain_by_hand"], metric, points(metric)),
    ]
    drawings = []
    for place, row in enumerate(rows, start=1):
        winner = Architecture.from_dict(dict(row["networks"][0]["architectures"][0]))
        drawings.append(
            draw_architecture(context.space, winner, f"winner-{place}", f"winner under {budget_text(row['budget'])}")
        )
    return Chapter(_words(piece, metric), drawings, tables, tiles, _budgets(rows, series, metric))


def _words(piece: JsonObject, metric: Metric) -> str:
    budgets, seeds = len(piece["rows"]), len(piece["training"])
    training, total, (least, most) = piece["training"][0], piece["each"] * budgets, _spent(piece)
    single = (
        "One small ViT, trained with the compute of all budgets, meets every budget: over it the winners' mean "
        f"gain is {estimate(piece['gain_over_single'], metric, True)}."
    )
    few = f"Every kind of network was trained with only {counted(seeds, 'seed')}, so intervals are wide."
    return (
        "One supernet has a winner for every budget; a network trained alone has one budget, so all are given the same "
        "total compute, in multiply-accumulates of forward and backward passes. The supernet's training takes "
        f"{compact(training)}, the searches and the fine-tuning of all winners {compact(piece['fronts'][0])}: "
        f"{compact(total)} in all, {total / training:g} times the training. Each network trained alone, and each "
        f"random search with early stopping, has {compact(piece['each'])}, {100 / budgets:.3g} % of that, and took "
        f"{100 * least:.0f} to {100 * most:.0f} % of its part. Everything is repeated with {counted(seeds, 'seed')}, "
        "supernet and search included. The winners' mean gain over all budgets is "
        f"{estimate(piece['gain'], metric, True)}{points(metric)} of {metric.title} over the largest uniform ViTs, and "
        f"{estimate(piece['gain_by_hand'], metric, True)} over the ViTs scaled by hand, of which the best at each "
        f"budget counts, as the test split shows. {single} The drawings show the winners of the first seed. "
        f"{few if seeds < 5 else ''}"
    )


def _spent(piece: JsonObject) -> tuple[float, float]:
    """Return the least and the most that a network trained alone took of its part of the compute."""
    shares = [
        macs / piece["each"]
        for row in piece["rows"]
        for entry in row["networks"]
        for macs in entry["macs"]
        if "inherited" not in entry and entry["name"] != SINGLE
    ]
    return min(shares), max(shares)


def _by_kind(rows: Rows, cost: str) -> dict[str, list[tuple[float, JsonObject]]]:
    """Return the networks of each kind with their budgets, ascending; kinds in the order of a budget that has all."""
    found = dict[str, list[tuple[float, JsonObject]]]()
    for row in sorted(rows, key=lambda each: -len(each["networks"])):
        ends = row["budget"][cost]
        for entry in row["networks"]:
            found.setdefault(entry["name"], []).append((ends[-1] if isinstance(ends, Sequence) else ends, entry))
    return {name: sorted(each, key=lambda pair: pair[0]) for name, each in found.items()}


def _cost_of(rows: Rows) -> str:
    """Return the cost that orders the budgets: MACs, or the first one that is bounded."""
    names = list(rows[0]["budget"])
    return "macs" if "macs" in names else names[0]


def _budgets(rows: Rows, series: Series, metric: Metric) -> Any:
    cost = _cost_of(rows)
    lines = [
        spread_line(name, [most for most, _ in found], [entry["test"] for _, entry in found])
        for name, found in _by_kind(rows, cost).items()
    ]
    caption = (
        f"Test {metric.title} of every kind of network against the budget; the bands span the seeds. The networks of "
        "each kind together took the same compute, that of the winners with their supernet and searches."
    )
    title, x, y = f"Test {metric.title} by budget", f"budget: {cost_name(cost)}", f"test {metric.heading}"
    return draw_lines("budgets", title, caption, lines, series, x=x, y=y, log=True, height=3.4)


def _means_table(rows: Rows, metric: Metric, series: Series) -> Table:
    """Return the mean test value of every kind of network under each budget, with the span of the seeds."""
    digits = metric.digits

    def value(name: str, row: JsonObject) -> Cell:
        found = next((entry["test"] for entry in row["networks"] if entry["name"] == name), None)
        if found is None:
            return Cell(MISSING)
        return in_unit(float(np.mean(found)), metric, f"{min(found):.{digits}f} to {max(found):.{digits}f}")

    kinds = _by_kind(rows, _cost_of(rows))
    cells = [[named(name, series), *(value(name, row) for row in rows)] for name in kinds]
    caption = f"Test {metric.title} at equal compute, by budget: mean, least and most of the seeds."
    return Table("compute", caption, ["network", *(budget_text(row["budget"]) for row in rows)], cells)


def _differences_table(rows: Rows, metric: Metric) -> Table:
    """Return the paired differences under each budget."""
    rivals = ("uniform", "best by hand", "early stopping", "best by hand", "one small ViT for all")
    header = [f"{'both alone: ' if place == 3 else ''}winner − {rival}" for place, rival in enumerate(rivals)]
    cells = []
    for row in rows:
        found = [estimate_cell(each["mean"], metric, sign=True, hint=each["minus"]) for each in row["differences"]]
        cells.append([budget_text(row["budget"]), *found])
    caption = f"Paired differences in test {metric.heading}, with 95 % intervals over seeds."
    return Table("differences", caption, ["budget", *header], cells, sortable=False)


def _networks_table(rows: Rows, metric: Metric, series: Series) -> Table:
    """Return every network at equal compute."""
    items = [
        (budget_text(row["budget"]), entry, seed)
        for row in rows
        for entry in row["networks"]
        for seed in range(len(entry["costs"]))
    ]

    def cell(key: str, of: Callable[[Any], str]) -> Callable[[Any], str]:
        return lambda item: of(item[1][key][item[2]])

    cells: Mapping[str, Callable[[Any], str]] = {
        "network": lambda item: named(item[1]["name"], series),
        "budget": lambda item: str(item[0]),
        "parameters": cell("costs", lambda costs: number(costs["params"], grouped)),
        "MACs": cell("costs", lambda costs: number(costs["macs"], grouped)),
        "MACs of training": cell("macs", lambda macs: number(macs, compact)),
        "epochs": cell("epochs", number),
        "test": cell("test", lambda value: in_unit(value, metric)),
        "architecture": cell("architectures", architecture_text),
    }
    caption = f"Every network at equal compute, and its test {metric.title}; a winner's training is its fine-tuning."
    return columns("networks", caption, items, cells, folded=folded(len(items), "networks"))
