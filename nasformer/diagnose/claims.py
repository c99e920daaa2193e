"""What a search with a supernet claims, tested by a diagnosis.

The decision rules are fixed in advance. *Better* holds if the 95 % interval of the difference is above zero, and does
not hold if it is below; *equal* holds if the whole interval is within ``TOLERANCE`` of zero, and does not hold if it is
beyond it; *ranks* holds if the rank correlation is above zero with a p-value below ``CHANCE``. All else is not decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from nasformer.diagnose.intervals import IntervalEstimate
from nasformer.tasks import Metric

Verdict = Literal["holds", "does not hold", "not decided"]

Claim = dict[str, Any]
"""``claim``, its name; ``effect``, an estimate, where there is one; further figures by name; ``verdict``."""

TOLERANCE = 0.5
"""Equivalence margin in percentage points, of metrics in other units in percent of the retrained mean."""

CHANCE = 0.05
"""Significance level of rank correlations."""

MAJORITY = 0.6
"""Share of the budgets at which the winners have to be better."""

_GAINS = {"uniform": ("gain", 0), "by_hand": ("gain_by_hand", 1), "single": ("gain_over_single", 4)}
"""Of claims about the winners: the mean gain in the piece, and the place of the paired differences by budget."""


def claims(pieces: Mapping[str, Any], metric: Metric) -> list[Claim]:
    """Return every claim that the given pieces test, of which ``metric`` is measured."""
    own = (
        ("compute", _compute),
        ("fidelity", _ranks),
        ("fidelity", partial(_gap, metric)),
        ("efficiency", _efficiency),
    )
    return [told for name, test in own if name in pieces for told in test(pieces[name])]


def _compute(piece: Mapping[str, Any]) -> Iterator[Claim]:
    rows = piece["rows"]
    for claim, (gain, place) in _GAINS.items():
        if gain in piece:
            yield {"claim": claim, "effect": piece[gain], **_counts(rows, place), "verdict": _above(piece[gain])}
    found, most = _counts(rows, 3), MAJORITY * len(rows)
    verdict = "holds" if found["better"] >= most else "does not hold" if found["worse"] >= most else "not decided"
    yield {"claim": "alone", **found, "verdict": verdict}


def _counts(rows: Sequence[Mapping[str, Any]], place: int) -> dict[str, int]:
    """Return at how many budgets a paired difference is significant."""
    found = [_above(row["differences"][place]["mean"]) for row in rows]
    return {"better": found.count("holds"), "worse": found.count("does not hold"), "budgets": len(rows)}


def _ranks(piece: Mapping[str, Any]) -> Iterator[Claim]:
    for part in piece["parts"]:
        tau = {row["of"]: row["kendall"] for row in part["ranks"]}
        found = tau["ranking"]
        verdict: Verdict = "holds" if found["value"] > 0 else "does not hold"
        verdict = verdict if found["p"] < CHANCE else "not decided"
        yield {"claim": f"ranks_{part['name']}", "effect": found, "params": tau["params"]["value"], "verdict": verdict}


def _gap(metric: Metric, piece: Mapping[str, Any]) -> Iterator[Claim]:
    if piece["gap"] is None:
        return
    tolerance = TOLERANCE
    if metric.unit != "%":
        known = [row["long"] for part in piece["parts"] for row in part["rows"] if "long" in row]
        tolerance *= abs(sum(known) / len(known)) / 100
    found = piece["gap"]["mean"]
    yield {"claim": "gap", "effect": found, "n": piece["gap"]["n"], "verdict": _equal(found, tolerance)}


def _efficiency(piece: Mapping[str, Any]) -> Iterator[Claim]:
    row, verdict = piece["rows"][0], "does not hold" if None in piece["rows"][0]["passed"] else "holds"
    sizes = {name: piece[name] for name in ("evaluations", "random")}
    yield {"claim": "efficiency", "strategy": row["strategy"], "passed": row["passed"], **sizes, "verdict": verdict}


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
