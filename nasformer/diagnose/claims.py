"""What a search with a supernet claims, tested by a diagnosis.

The decision rules are fixed in advance. *Better* holds if the 95 % interval of the difference is above zero, and does
not hold if it is below; *equal* holds if the whole interval is within ``TOLERANCE`` of zero, and does not hold if it is
beyond it; *ranks* holds if the rank correlation is above zero with a p-value below ``CHANCE``. All else is not decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nasformer.diagnose.intervals import IntervalEstimate
from nasformer.tasks import Metric

Verdict = Literal["holds", "does not hold", "not decided"]
Claim = dict[str, str]

TOLERANCE = 0.5
"""Equivalence margin in percentage points, of metrics in other units in percent of the retrained mean."""

CHANCE = 0.05
"""Significance level of rank correlations."""

MAJORITY = 0.6
"""Share of the budgets at which the winners have to be better."""


def claims(pieces: Mapping[str, Any], metric: Metric) -> list[Claim]:
    """Return every claim that the given pieces test, of which ``metric`` is measured."""
    told = [*_compute(pieces.get("compute"), metric), *_ranks(pieces.get("fidelity"))]
    return told + _gap(pieces.get("fidelity"), metric) + _efficiency(pieces.get("efficiency"))


def _compute(piece: Mapping[str, Any] | None, metric: Metric) -> list[Claim]:
    if piece is None:
        return []
    pairs = [
        ("Winners are better than uniform ViTs at equal total compute", 0, piece["gain"]),
        ("Winners are better than the best hand-scaled ViTs at equal total compute", 1, piece["gain_by_hand"]),
        ("Winners are better than one small ViT with the total compute", 4, piece["gain_over_single"]),
    ]
    told = [
        _claim(words, f"{_shown(mean, metric)}; {_better(piece['rows'], place)}", _above(mean))
        for words, place, mean in pairs
    ]
    alone = [_above(row["differences"][3]["mean"]) for row in piece["rows"]]
    verdict: Verdict = "holds" if alone.count("holds") >= MAJORITY * len(alone) else "not decided"
    if alone.count("does not hold") >= MAJORITY * len(alone):
        verdict = "does not hold"
    words = "Winners are better architectures than the best hand-scaled ViTs, trained alone alike"
    return [*told, _claim(words, _better(piece["rows"], 3), verdict)]


def _better(rows: Sequence[Mapping[str, Any]], place: int) -> str:
    found = [_above(row["differences"][place]["mean"]) for row in rows]
    return f"significant at {found.count('holds')} of {len(rows)} budgets, worse at {found.count('does not hold')}"


def _ranks(piece: Mapping[str, Any] | None) -> list[Claim]:
    told = []
    where = {"range": "over the whole range", "band": "within 10 % of one budget"}
    for part in () if piece is None else piece["parts"]:
        tau = {row["of"]: row["kendall"] for row in part["ranks"]}
        found, plain = tau["ranking"], tau["params"]
        here = f"Kendall τ {_number(found['value'])} ({_number(found['low'])} to {_number(found['high'])}); "
        here += f"of the number of parameters {_number(plain['value'])}"
        verdict: Verdict = "not decided"
        if found["p"] < CHANCE:
            verdict = "holds" if found["value"] > 0 else "does not hold"
        told.append(_claim(f"Inherited weights rank architectures {where[part['name']]}", here, verdict))
    return told


def _gap(piece: Mapping[str, Any] | None, metric: Metric) -> list[Claim]:
    if piece is None or piece["gap"] is None:
        return []
    found = piece["gap"]["mean"]
    scale = 1.0
    if metric.unit != "%":
        known = [row["long"] for part in piece["parts"] for row in part["rows"] if "long" in row]
        scale = abs(sum(known) / len(known)) / 100
    here = f"retrained − inherited {_shown(found, metric)}, {piece['gap']['n']} architectures"
    words = "Inherited weights are as good as those of as many epochs alone"
    return [_claim(words, here, _equal(found, TOLERANCE * scale))]


def _efficiency(piece: Mapping[str, Any] | None) -> list[Claim]:
    if piece is None:
        return []
    row = piece["rows"][0]
    passed = [count for count in row["passed"] if count is not None]
    here = f"{row['strategy']}: {', '.join('never' if n is None else str(n) for n in row['passed'])} evaluations"
    words = f"A search of {piece['evaluations']} evaluations passes the winner of {piece['random']:,} random ones"
    return [_claim(words, here, "holds" if len(passed) == len(row["passed"]) else "does not hold")]


def _claim(claim: str, here: str, verdict: Verdict) -> Claim:
    return {"claim": claim, "here": here, "verdict": verdict}


def _above(found: IntervalEstimate) -> Verdict:
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return "not decided"
    return "holds" if low > 0 else "does not hold" if high < 0 else "not decided"


def _equal(found: IntervalEstimate, tolerance: float) -> Verdict:
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return "not decided"
    if -tolerance <= low and high <= tolerance:
        return "holds"
    return "does not hold" if low > tolerance or high < -tolerance else "not decided"


def _shown(found: IntervalEstimate, metric: Metric) -> str:
    value, low, high = (None if each is None else f"{each:+.{metric.digits}f}" for each in found.values())
    unit = " points" if metric.unit == "%" else f" {metric.unit}".rstrip()
    of = "" if metric.higher_is_better else f" of {metric.fitness.title}"
    return f"{value}{unit}{'' if low is None else f' ({low} to {high})'}{of}".replace("-", "−")


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
