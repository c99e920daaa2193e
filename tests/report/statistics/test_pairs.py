"""Pairs agree with SciPy, statsmodels and cases worked by hand, and are the same from either side."""

from __future__ import annotations

from itertools import product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon
from statsmodels.stats.multitest import multipletests

from nasformer.report.statistics import Pair, analyse
from nasformer.report.statistics.pairs import fewest_seeds, holm, signed_rank_p
from tests.report.statistics.comparisons import compared, finals

SHARES = st.integers(0, 20).map(lambda right: 100 * right / 540)  # accuracies on 540 images: many ties


def paired(a: list[float], b: list[float], level: float = 0.05) -> Pair:
    return analyse(compared(finals(a=a, b=b)), level=level, resamples=20).tasks[0].pairs[0]


def test_without_ties_p_is_scipys() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20), rng.normal(0.4, size=20)
    assert paired(a.tolist(), b.tolist()).p == pytest.approx(wilcoxon(a, b, method="exact").pvalue)


@pytest.mark.parametrize("n", [6, 9, 11])
def test_with_ties_p_is_that_of_all_signs(n: int) -> None:
    values = np.random.default_rng(n).integers(-3, 5, size=n).astype(float)
    nonzero = values[values != 0]
    ranks = rankdata(np.abs(nonzero))
    sums = np.array([np.dot(signs, ranks) for signs in product((-1, 1), repeat=len(ranks))])
    tail = np.mean(np.abs(sums) >= abs(np.dot(np.sign(nonzero), ranks)) - 1e-9)
    assert signed_rank_p(values) == pytest.approx(tail)


def test_equal_steps_are_ties_though_floats_differ() -> None:
    a = [0.1 + 0.2, 1.1 + 0.2, 2.1 + 0.2, 3.1 + 0.2, 4.1 + 0.2, 5.1 + 0.2]
    b = [0.1, 1.1, 2.1, 3.1, 4.1, 5.1]
    pair = paired(a, b)
    assert pair.p == pytest.approx(2 / 2**6)
    assert pair.median_difference == pytest.approx(0.2)
    assert paired([0.1 + 0.2] * 6, [0.3] * 6).ties == 6


def test_a_case_worked_by_hand() -> None:
    pair = paired([1, 2, 3, 4, 5, 6, 7], [0, 0, 0, 0, 0, 0, 8])
    # the negative ranks sum to 1.5; of 128 outcomes three sum to as little (none, or either 1.5), three to as much
    assert pair.p == pytest.approx(6 / 128)
    assert (pair.wins, pair.ties, pair.losses, pair.n) == (6, 0, 1, 7)
    assert pair.effect_a12 == pytest.approx(42 / 49)
    assert pair.median_difference == 3
    assert pair.verdict == "better"


def test_holms_correction_is_over_the_tasks_pairs() -> None:
    rng = np.random.default_rng(5)
    values = {label: rng.normal(shift, size=15) for label, shift in (("a", 0), ("b", 0.6), ("c", 1.5))}
    pairs = analyse(compared(finals(**values)), resamples=20).tasks[0].pairs
    raw = np.array([pair.p for pair in pairs], dtype=float)
    order = np.argsort(raw)
    expected = np.minimum(1, np.maximum.accumulate(raw[order] * [3, 2, 1]))
    np.testing.assert_allclose([pairs[place].p_holm for place in order], expected)
    assert [pairs[place].verdict == "no difference shown" for place in order] == list(expected > 0.05)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=66))
def test_the_correction_is_that_of_statsmodels(p: list[float]) -> None:
    with patch("gc.collect"):
        expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(np.array(p)), expected)


def test_the_interval_is_of_order_statistics() -> None:
    values = np.arange(1.0, 11.0)
    pair = paired(values.tolist(), [0.0] * 10)
    assert pair.interval == pytest.approx(
        (2.0, 9.0)
    )  # the second and the ninth of ten: 97.9 %, the narrowest above 95 %
    assert paired([1.0, 2, 3, 4, 5], [0.0] * 5).interval is None


def test_few_seeds_are_untested() -> None:
    pair = paired([1, 2, 3, 4, 5], [0, 0, 0, 0, 0])
    assert (pair.verdict, pair.p, pair.p_holm) == ("untested", None, None)
    assert pair.median_difference == 3
    assert fewest_seeds(0.05) == 6
    assert all(2.0 ** (1 - fewest_seeds(0.05, m)) <= 0.05 / m < 2.0 ** (2 - fewest_seeds(0.05, m)) for m in (1, 3, 66))


def test_identical_runs_are_called_so_and_equal_ends_are_not() -> None:
    runs = np.random.default_rng(2).normal(size=(8, 5))
    other = np.sort(runs, axis=1)
    pairs = {(p.a, p.b): p for p in analyse(compared({"a": runs, "b": runs, "c": other}), resamples=20).tasks[0].pairs}
    assert (pairs["a", "b"].verdict, pairs["a", "b"].identical, pairs["a", "b"].p_holm) == ("identical", True, 1.0)
    assert (pairs["a", "c"].verdict, pairs["a", "c"].identical) == ("no difference shown", False)
    assert pairs["a", "c"].ties == 8


def test_equal_values_of_other_architectures_are_not_identical() -> None:
    runs = np.ones((6, 4))
    params = {"a": np.full((6, 4), 5), "b": np.full((6, 4), 6)}
    pair = analyse(compared({"a": runs, "b": runs}, params=params), resamples=20).tasks[0].pairs[0]
    assert not pair.identical


def test_only_seeds_that_both_have_are_compared() -> None:
    comparison = compared(finals(a=[5, 6, 7, 8, 9, 10, 11], b=[1, 1, 1, 1, 1, 1, 99]))
    cells = comparison.cells.drop(comparison.cells.query("strategy == 'b' and seed == 6").index)
    analysis = analyse(type(comparison)(**{**vars(comparison), "cells": cells}), resamples=20)
    pair = analysis.tasks[0].pairs[0]
    assert (pair.n, pair.wins, pair.losses, pair.verdict) == (6, 6, 0, "better")
    assert str(analysis.warnings[0]).startswith("1 of 14 runs are missing")


@settings(max_examples=8, deadline=None)
@given(values=st.lists(st.tuples(SHARES, SHARES), min_size=6, max_size=14))
def test_swapping_mirrors_everything(values: list[tuple[float, float]]) -> None:
    a, b = (list(side) for side in zip(*values, strict=True))
    forward, backward = paired(a, b), paired(b, a).mirrored()
    assert (forward.verdict, forward.wins, forward.ties, forward.losses) == (
        backward.verdict,
        backward.wins,
        backward.ties,
        backward.losses,
    )
    assert forward.effect_a12 == pytest.approx(backward.effect_a12)
    assert forward.p == pytest.approx(backward.p)
    assert forward.median_difference == pytest.approx(backward.median_difference)
    assert forward.interval == pytest.approx(backward.interval)


@settings(max_examples=8, deadline=None)
@given(values=st.lists(st.tuples(SHARES, SHARES), min_size=6, max_size=14), constant=st.floats(-50, 50))
def test_adding_a_constant_changes_nothing(values: list[tuple[float, float]], constant: float) -> None:
    a, b = (np.array(side) for side in zip(*values, strict=True))
    plain, moved = paired(a.tolist(), b.tolist()), paired((a + constant).tolist(), (b + constant).tolist())
    assert (plain.verdict, plain.p, plain.wins, plain.ties) == (moved.verdict, moved.p, moved.wins, moved.ties)
    assert plain.effect_a12 == moved.effect_a12
    assert plain.median_difference == pytest.approx(moved.median_difference, abs=1e-8)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(0)
    comparison = compared({"a": rng.normal(size=(7, 6)), "b": rng.normal(size=(7, 6))}, optimum=9.0)
    shuffled = {name: getattr(comparison, name).sample(frac=1, random_state=seed) for name in ("trials", "cells")}
    plain, mixed = (
        analyse(found, resamples=50).tasks[0]
        for found in (comparison, type(comparison)(**{**vars(comparison), **shuffled}))
    )
    assert plain.pairs == mixed.pairs
    assert plain.ranking == mixed.ranking
    assert plain.power == mixed.power
    np.testing.assert_array_equal(plain.curves["a"].low, mixed.curves["a"].low)
