"""Standings: targets, times, regret and biases, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nasformer.report.statistics import Standing, analyse
from tests.report.statistics.comparisons import compared, finals

NAN = float("nan")


def standing(label: str, *args: object, **kwargs: object) -> Standing:
    ranking = analyse(compared(*args, **kwargs), resamples=20).tasks[0].ranking  # type: ignore[arg-type]
    return next(found for found in ranking if found.label == label)


def test_best_first_by_median_then_mean() -> None:
    task = analyse(compared(finals(low=[1, 2, 9], high=[3, 4, 5], tied=[0, 4, 5])), resamples=20).tasks[0]
    assert [found.label for found in task.ranking] == ["high", "tied", "low"]
    first = task.ranking[0]
    assert (first.n, first.median, first.quartiles, first.best, first.worst) == (3, 4, (3.5, 4.5), 5, 3)


def test_time_to_target_counts_a_run_that_never_reaches_it_as_last() -> None:
    runs = [[1, 5, 5, 5], [1, 1, 5, 5], [1, 1, 1, 1]]
    found = standing("a", {"a": runs}, target=5.0)
    assert found.reached == pytest.approx(2 / 3)
    assert found.evaluations_to_target == 3  # of 2, 3 and never
    assert found.seconds_to_target == pytest.approx(3 * (2.0 + 0.5))  # evaluation and strategy
    never = standing("a", {"a": [runs[0], runs[2]]}, target=5.0)
    assert (never.reached, never.evaluations_to_target, never.seconds_to_target) == (0.5, None, None)


def test_a_target_that_is_not_given_is_reached_by_half_of_all_runs() -> None:
    rng = np.random.default_rng(3)
    task = analyse(compared({"a": rng.normal(size=(6, 9)), "b": rng.normal(size=(6, 9))}), resamples=20).tasks[0]
    assert sum(found.reached for found in task.ranking) == pytest.approx(7 / 6)  # the lower of the two middle runs
    assert "median" in task.target_rule
    given = analyse(compared({"a": [[1, 2]]}, target=1.5), resamples=20).tasks[0]
    assert (given.target, given.target_rule) == (1.5, "the target of the task")


def test_area_is_the_mean_height_of_the_curve() -> None:
    assert standing("a", {"a": [[1, 3, 2, 4], [0, 0, 0, 8]]}).auc == pytest.approx((2.75 + 2.0) / 2)
    assert standing("a", {"a": [[NAN, 3, 2, 5]]}).auc == pytest.approx((3 + 3 + 5) / 3)


def test_regret_is_from_the_optimum_and_none_without_it() -> None:
    runs = finals(a=[0.1 + 0.2, 0.2, 0.3, 0.1])
    found = standing("a", runs, optimum=0.3)
    assert found.optimum_found == 0.5  # 0.1 + 0.2 is 0.3 but for rounding
    assert found.mean_regret == pytest.approx(0.075)
    assert found.median_regret == pytest.approx(0.05)
    without = standing("a", runs)
    assert (without.mean_regret, without.median_regret, without.optimum_found) == (None, None, None)


def test_biases_are_medians_over_seeds() -> None:
    told, true = finals(a=[5, 6, 9]), finals(a=[4, 4, 5])
    found = standing("a", told, true=(true,))
    assert found.observed_bias == 2
    assert found.curse == 0.25
    assert standing("a", told, cells={"test": None}).curse is None
    assert (found.duplicates, found.infeasible, found.failed) == (3, 2, 0)
    assert (found.strategy_seconds, found.evaluation_seconds, found.ms_per_ask) == (0.5, 2.0, 500)


def test_finals_are_true_values_only_where_all_are_known() -> None:
    told, true = finals(a=[5, 6, 9]), finals(a=[4, 4, 5])
    assert standing("a", told, true=(true,), cells={"confirmed": [4.5, 4.6, 4.7]}).median == 4
    half = standing("a", told, true=(true,), cells={"confirmed": [4.5, 4.6, 4.7], "true": [4.0, None, 5.0]})
    assert half.median == 4.6


def test_a_strategy_without_any_value_is_not_ranked() -> None:
    analysis = analyse(compared({"a": [[1.0, 2.0]] * 6, "b": [[NAN, NAN]] * 6}), resamples=20)
    assert [found.label for found in analysis.tasks[0].ranking] == ["a"]
    assert analysis.tasks[0].pairs[0].verdict == "untested"
    assert any("six runs of b ended without a value" in str(warning) for warning in analysis.warnings)
    assert "nothing is compared" in analysis.summary[0]
