"""Intervals hold what they say, and claims follow from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from nasformer.diagnose.claims import claims
from nasformer.diagnose.intervals import difference_of, kendall, mean_of, ranks, spread_of
from nasformer.diagnose.pieces.chosen import _best
from nasformer.tasks import get_task


def test_a_mean_is_students() -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_of(values) == pytest.approx({"value": 3.75, "low": low, "high": high})


def test_one_value_has_no_interval() -> None:
    assert mean_of([3.0]) == {"value": 3.0, "low": None, "high": None}


def test_a_difference_of_unpaired_means_is_welchs() -> None:
    first, second = [5.0, 6.0, 8.0], [1.0, 1.5, 4.0, 2.0]
    low, high = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    expected = {"value": np.mean(first) - np.mean(second), "low": low, "high": high}
    assert difference_of(first, second) == pytest.approx(expected)
    for few in ([3.0], [3.0, 3.0]):
        assert difference_of(few, [1.0] * len(few)) == {"value": 2.0, "low": None, "high": None}


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


def test_equals_look_unequal_to_who_chose_the_best() -> None:
    draw = np.random.default_rng(0)
    seen = np.where(draw.random((40, 5000)) < 0.8, 100.0, 0.0)
    test = np.full(40, 80.0)
    curse = {count: np.mean([_best(seen, test, count, 200, draw)[0] - 80.0 for _ in range(300)]) for count in (1, 40)}
    error = 100 * np.sqrt(0.8 * 0.2 / 200)
    assert abs(curse[1]) < 0.2 * error
    assert curse[40] == pytest.approx(2.16 * error, rel=0.15), "the mean of the highest of 40 normal values"


ACCURACY = get_task("classification").metrics[0]
EPOCHS = {"supernet": 8, "finetuned": 1, "retrained": 4}


def interval(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [
        (0.1, 0.2, "holds"),
        (2.0, 0.5, "does not hold"),
        (0.5, 0.3, "not decided"),
        (-0.4, 0.3, "not decided"),
        (-3.0, 1.0, "not decided"),
    ],
)
def test_the_gap_is_none_within_the_tolerance(value: float, half: float, verdict: str) -> None:
    row = {"of": "retrained", "minus": "inherited", "mean": interval(value, half)}
    (claim,) = claims({"gap": {"differences": [row], "epochs": EPOCHS}}, ACCURACY)
    assert claim["verdict"] == verdict
    assert f"{value:+.2f}".replace("-", "−") in claim["here"]


@pytest.mark.parametrize(
    ("value", "verdict", "why"),
    [(0.0, "holds", "add little"), (2.0, "does not hold", "specialises"), (-2.0, "does not hold", "worse")],
)
def test_fine_tuning_adds_nothing_takes_nothing_away(value: float, verdict: str, why: str) -> None:
    row = {"of": "finetuned", "minus": "inherited", "mean": interval(value, 0.3)}
    (claim,) = claims({"gap": {"differences": [row], "epochs": EPOCHS}}, ACCURACY)
    assert claim["verdict"] == verdict
    assert why in claim["why"]
    assert "1 epoch of fine-tuning, 8 of the supernet" in claim["here"]


@pytest.mark.parametrize(
    ("value", "half", "verdict"),
    [(1.0, 0.5, "holds"), (-1.0, 0.5, "does not hold"), (0.1, 0.5, "not decided"), (0.0, 0.0, "not decided")],
)
def test_better_is_above_none(value: float, half: float, verdict: str) -> None:
    difference: dict[str, Any] = {"mean": interval(value, half), "n": 3}
    (claim,) = claims({"winner": {"difference": difference, "epochs": 4}}, ACCURACY)
    assert claim["verdict"] == verdict


def test_nothing_measured_is_nothing_claimed() -> None:
    assert claims({}, ACCURACY) == []


@pytest.mark.parametrize(("value", "verdict"), [(0.0, "holds"), (0.004, "does not hold")])
def test_the_tolerance_of_a_loss_is_half_a_percent_of_it(value: float, verdict: str) -> None:
    row = {"of": "retrained", "minus": "inherited", "mean": interval(value, 0.001)}
    rows = [{"name": "inherited", "mean": interval(-0.4, 0.1)}]
    gap = {"differences": [row], "rows": rows, "epochs": EPOCHS}
    (claim,) = claims({"gap": gap}, get_task("regression").metrics[-1])
    assert claim["verdict"] == verdict
    assert claim["here"].startswith(f"retrained − inherited +{value:.4f} (")
    assert ") of −loss; 4 epochs" in claim["here"]
