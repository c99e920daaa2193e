"""Curves follow the incumbent, bear failures and early ends, and agree with NumPy."""

from __future__ import annotations

import numpy as np

from nasformer.report.statistics import analyse
from tests.report.statistics.comparisons import compared

NAN = float("nan")


def test_the_curve_is_the_true_value_of_the_highest_told() -> None:
    told, true = [[1.0, 3.0, 2.0, 4.0]], [[1.5, 2.0, 9.0, 1.0]]
    curve = analyse(compared({"a": told}, true=({"a": true},)), resamples=50).tasks[0].curves["a"]
    assert curve.evaluations.tolist() == [1, 2, 3, 4]
    assert curve.median.tolist() == [1.5, 2.0, 2.0, 1.0]


def test_a_value_told_again_is_no_gain() -> None:
    told, true = [[3.0, 3.0, 1.0, 4.0, 4.0]], [[2.0, 9.0, 5.0, 1.0, 8.0]]
    curve = analyse(compared({"a": told}, true=({"a": true},)), resamples=50).tasks[0].curves["a"]
    assert curve.median.tolist() == [2.0, 2.0, 2.0, 1.0, 1.0]


def test_what_was_told_stands_in_where_truth_is_not_known() -> None:
    analysis = analyse(compared({"a": [[1.0, 3.0, 2.0]]}, true=({"a": [[1.0, NAN, NAN]]},)), resamples=50).tasks[0]
    assert not analysis.knows_true
    assert analysis.curves["a"].median.tolist() == [1.0, 3.0, 3.0]


def test_failed_evaluations_and_early_ends_keep_the_incumbent() -> None:
    early = [1.0, 2.0]
    late = [NAN, 3.0, NAN, 5.0]
    comparison = compared({"early": [early], "late": [late]})
    found = analyse(comparison, resamples=50).tasks[0].curves
    assert found["early"].median.tolist() == [1.0, 2.0, 2.0, 2.0]
    np.testing.assert_array_equal(found["late"].median, [NAN, 3.0, 3.0, 5.0])


def test_a_run_without_a_value_counts_as_lower_than_any() -> None:
    curve = analyse(compared({"a": [[NAN, 4.0], [2.0, 2.0], [1.0, 3.0]]}), resamples=50).tasks[0].curves["a"]
    np.testing.assert_array_equal(curve.median, [1.0, 3.0])


def test_quartiles_are_numpys() -> None:
    values = np.maximum.accumulate(np.random.default_rng(0).normal(size=(9, 30)), axis=1)
    curve = analyse(compared({"a": values}), resamples=20).tasks[0].curves["a"]
    np.testing.assert_allclose([curve.low, curve.median, curve.high], np.quantile(values, (0.25, 0.5, 0.75), axis=0))


def test_long_curves_are_thinned_evenly_in_the_logarithm() -> None:
    at = analyse(compared({"a": np.ones((2, 5000))}), resamples=20).tasks[0].curves["a"].evaluations
    assert (at[0], at[-1]) == (1, 5000)
    assert len(at) <= 200
    ratios = at[-50:] / at[-51:-1]
    assert ratios.max() / ratios.min() < 1.01


def test_regret_curves_mirror_the_values() -> None:
    values = np.maximum.accumulate(np.random.default_rng(1).normal(size=(7, 12)), axis=1)
    analysis = analyse(compared({"a": values}, optimum=5.0), resamples=100).tasks[0]
    curve, regret = analysis.curves["a"], analysis.regret_curves["a"]
    np.testing.assert_allclose(regret.median, 5 - curve.median)
    np.testing.assert_allclose(regret.low, 5 - curve.high)
    assert analyse(compared({"a": values}), resamples=20).tasks[0].regret_curves == {}
