"""Intervals hold what they say, and claims follow from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks._equal_compute import PIECES
from nasformer.diagnose.diagnosis import claims as judged
from nasformer.diagnose.efficiency import EFFICIENCY
from nasformer.diagnose.fidelity import FIDELITY
from nasformer.diagnose.intervals import kendall, mean_of, ranks, spread_of
from nasformer.tasks import Metric, get_task


def test_a_mean_is_students() -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_of(values) == pytest.approx({"value": 3.75, "low": low, "high": high})


def test_one_value_has_no_interval() -> None:
    assert mean_of([3.0]) == {"value": 3.0, "low": None, "high": None}


def test_a_spread_is_of_the_values() -> None:
    spread = spread_of(np.arange(1001.0))
    assert spread == pytest.approx({"low": 25.0, "value": 500.0, "high": 975.0})


@pytest.mark.slow
def test_intervals_of_tau_cover_it() -> None:
    draw = np.random.default_rng(0)
    true, covered = stats.kendalltau(*draw.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 20000).T).statistic, 0
    for seed in range(60):
        x, y = draw.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 25).T
        interval = ranks(x.tolist(), y.tolist(), seed=seed)["kendall"]
        assert interval["low"] is not None
        assert interval["high"] is not None
        covered += interval["low"] <= true <= interval["high"]
    assert covered >= 50, "of 60, at 95 %"


def test_no_order_agrees_with_none() -> None:
    assert kendall([1, 1, 1], [1, 2, 3]) == 0.0
    assert ranks([1, 1, 1], [1, 2, 3])["spearman"]["value"] == 0.0


ACCURACY = get_task("classification").metrics[0]


def claims(pieces: dict[str, Any], metric: Metric) -> list[dict[str, Any]]:
    return [claim for _, claim in judged(pieces, metric, PIECES)]


def interval(value: float, half: float | None) -> dict[str, float | None]:
    ends = (None, None) if half is None else (value - half, value + half)
    return {"value": value, "low": ends[0], "high": ends[1]}


def compute(*alone: float) -> dict[str, Any]:
    """Return winners whose difference from the best by hand is as given, by budget."""
    rows = [
        {"differences": [{"mean": interval(value, 0.5)} for value in (2.0, 0.1, 1.0, each, -3.0)]} for each in alone
    ]
    gains = {"gain": interval(2.0, 0.5), "gain_by_hand": interval(-2.0, 0.5), "gain_over_single": interval(0.5, 1.0)}
    return {**gains, "rows": rows}


def fidelity(gap: float, half: float | None = 0.2, *, tau: float = 0.5, p: float = 0.01) -> dict[str, Any]:
    found = {"kendall": {**interval(tau, 0.1), "p": p}}
    part = {"name": "band", "rows": [{"long": -0.4}], "ranks": [{"of": of, **found} for of in ("ranking", "params")]}
    return {"parts": [part], "gap": {"n": 5, "mean": interval(gap, half)}}


def test_winners_are_better_above_zero() -> None:
    uniform, hand, single, _ = claims({"compute": compute(1, 1)}, ACCURACY)
    assert (uniform["verdict"], hand["verdict"], single["verdict"]) == ("holds", "does not hold", "not decided")
    assert (single["effect"], single["better"], single["worse"]) == (interval(0.5, 1.0), 0, 2)
    assert (uniform["effect"], uniform["better"], uniform["worse"]) == (interval(2.0, 0.5), 2, 0)
    assert (hand["effect"], hand["better"], hand["budgets"]) == (interval(-2.0, 0.5), 0, 2)


@pytest.mark.parametrize(
    ("alone", "verdict"),
    [
        ((1, 1, 1, 0, -1), "holds"),
        ((1, 1, 0, 0, 0), "not decided"),
        ((-1, -1, -1, 1, 1), "does not hold"),
    ],
)
def test_better_architectures_are_so_at_most_budgets(alone: tuple[float, ...], verdict: str) -> None:
    assert claims({"compute": compute(*alone)}, ACCURACY)[3]["verdict"] == verdict


@pytest.mark.parametrize(
    ("tau", "p", "verdict"), [(0.5, 0.01, "holds"), (0.5, 0.06, "not decided"), (-0.5, 0.01, "does not hold")]
)
def test_a_ranking_is_judged_by_its_p_value(tau: float, p: float, verdict: str) -> None:
    rank, _ = claims({"fidelity": fidelity(0, tau=tau, p=p)}, ACCURACY)
    assert (rank["claim"], rank["params"], rank["verdict"]) == ("ranks_band", tau, verdict)


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [
        (0.1, 0.2, "holds"),
        (2.0, 0.5, "does not hold"),
        (-3.0, 1.0, "does not hold"),
        (0.5, 0.3, "not decided"),
        (0.0, None, "not decided"),
    ],
)
def test_the_gap_is_none_within_the_tolerance(value: float, half: float | None, verdict: str) -> None:
    claim = claims({"fidelity": fidelity(value, half)}, ACCURACY)[-1]
    assert claim["verdict"] == verdict
    assert (claim["claim"], claim["effect"]["value"], claim["n"]) == ("gap", value, 5)


@pytest.mark.parametrize(("value", "verdict"), [(0.0, "holds"), (0.004, "does not hold")])
def test_the_tolerance_of_a_loss_is_half_a_percent_of_it(value: float, verdict: str) -> None:
    metric = get_task("regression").metrics[-1]
    claim = claims({"fidelity": fidelity(value, 0.001)}, metric)[-1]
    assert claim["verdict"] == verdict
    here = FIDELITY.describe(claim, metric)[1]
    assert here.startswith(f"retrained − inherited +{value:.4f} (")
    assert here.endswith(") of −loss, 5 architectures")


@pytest.mark.parametrize(("passed", "verdict"), [([3, 4], "holds"), ([3, None], "does not hold")])
def test_a_search_passes_many_random_ones_with_every_seed(passed: list[int | None], verdict: str) -> None:
    piece = {"evaluations": 9, "random": 1000, "rows": [{"strategy": "thompson", "passed": passed}]}
    (claim,) = claims({"efficiency": piece}, ACCURACY)
    assert claim["verdict"] == verdict
    assert EFFICIENCY.describe(claim, ACCURACY)[1] == f"thompson: 3, {passed[1] or 'never'} evaluations"


def test_nothing_measured_is_nothing_claimed() -> None:
    assert claims({}, ACCURACY) == []
    assert len(claims({"fidelity": {**fidelity(0), "gap": None}}, ACCURACY)) == 1
