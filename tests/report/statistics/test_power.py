"""Power: the stated difference is found about as often as stated, and the arithmetic is SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wilcoxon

from nasformer.report.statistics import analyse
from nasformer.report.statistics.pairs import critical_value, detectable, signed_rank_p
from tests.report.statistics.comparisons import compared, finals


@pytest.mark.parametrize(("n", "level"), [(6, 0.05), (10, 0.05), (10, 0.005), (20, 0.005), (35, 0.05 / 66)])
def test_the_critical_value_is_the_least_that_scipy_calls_significant(n: int, level: float) -> None:
    critical = critical_value(n, level)
    assert wilcoxon(with_sum(n, critical), method="exact").pvalue <= level
    assert wilcoxon(with_sum(n, critical - 1), method="exact").pvalue > level


def with_sum(n: int, total: int) -> list[float]:
    """Return ranks 1..n with signs, the positive of which sum to ``total``."""
    signed = []
    for rank in range(n, 0, -1):
        positive = rank <= total
        signed.append(float(rank if positive else -rank))
        total -= rank if positive else 0
    return signed


def test_a_shift_of_the_stated_size_is_just_significant_in_four_of_five_resamples() -> None:
    values = np.random.default_rng(0).normal(size=12)
    stated = detectable(values, 0.05, 1000, seed=1)
    assert stated is not None
    chance = np.random.default_rng(1)
    around = (values - np.median(values)) * np.sqrt(12 / 11)
    samples = around[chance.integers(12, size=(1000, 12))] * chance.choice((-1.0, 1.0), size=(1000, 12))
    below, above = (
        wilcoxon(samples + d, axis=1, method="exact").pvalue <= 0.05 for d in (0.8 * stated, 1.0001 * stated)
    )
    assert above.mean() == pytest.approx(0.8, abs=0.03)
    assert below.mean() < above.mean() - 0.05


@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
def test_stated_differences_are_found_with_the_stated_chance(draw: str) -> None:
    rng = np.random.default_rng(7)
    found = []
    for repeat in range(300):
        stated = detectable(getattr(rng, draw)(size=20), 0.05 / 6, 300, seed=repeat)
        assert stated is not None
        found.append(signed_rank_p(getattr(rng, draw)(size=20) + stated - (draw == "uniform") * 0.5) <= 0.05 / 6)
    assert np.mean(found) == pytest.approx(0.8, abs=0.12)


def test_more_seeds_and_fewer_pairs_detect_less() -> None:
    values = np.random.default_rng(2).normal(size=40)
    ten, forty, strict = (detectable(values[:n], level, 500, 0) for n, level in ((10, 0.05), (40, 0.05), (40, 0.001)))
    assert forty < strict < ten  # type: ignore[operator]


def test_the_statement_for_a_task() -> None:
    rng = np.random.default_rng(4)
    drawn = {label: rng.normal(size=9) for label in "abc"}
    power = analyse(compared(finals(**drawn)), resamples=200).tasks[0].power
    assert (power.pairs, power.seeds, power.fewest, power.probability) == (3, 9, 7, 0.8)
    every = [detectable(drawn[a] - drawn[b], 0.05 / 3, 200, seed=0) for a, b in ("ab", "ac", "bc")]
    assert power.difference == pytest.approx(np.median(np.array(every, dtype=float)))


@pytest.mark.parametrize("values", [np.zeros(10), np.arange(5.0)])
def test_nothing_is_stated_without_spread_or_with_too_few_seeds(values: np.ndarray) -> None:
    assert detectable(values, 0.05, 100, 0) is None
    task = analyse(compared(finals(a=values, b=np.zeros(len(values)))), resamples=20).tasks[0]
    assert task.power.difference is None
