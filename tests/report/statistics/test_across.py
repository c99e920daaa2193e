"""Across: ranks over tasks agree with Demšar's paper, SciPy and scikit-posthocs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import friedmanchisquare

from nasformer.report.statistics import Across, analyse
from nasformer.report.statistics.across import fewest_tasks, rank_test
from tests.report.statistics.comparisons import compared, finals


def over(*medians: tuple[float, ...], seeds: int = 7, spread: float = 0.0) -> Across:
    rng = np.random.default_rng(0)
    tasks = [
        finals(**{label: value + spread * rng.normal(size=seeds) for label, value in zip("abcdefg", row, strict=False)})
        for row in medians
    ]
    across = analyse(compared(*tasks), resamples=20).across
    assert across is not None
    return across


def test_ranks_statistic_and_critical_difference_of_a_table() -> None:
    table = [(4.0, 3, 2, 1), (4, 2, 3, 1), (4, 3, 2, 1), (4, 3, 1, 2), (3, 4, 2, 1), (4, 3, 2, 1)]
    across = over(*table)
    assert across.ranks == pytest.approx({"a": 7 / 6, "b": 2, "c": 3, "d": 23 / 6})
    expected = friedmanchisquare(*np.array(table).T)
    assert across.statistic == pytest.approx(expected.statistic)
    assert across.p == pytest.approx(expected.pvalue)
    # q for four strategies at 0.05 is 2.569 (Demšar 2006, table 5a)
    assert across.critical_difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 6)), rel=1e-3)
    assert (across.level_with, across.below) == (["b", "c"], ["d"])


def test_the_critical_difference_agrees_with_nemenyis_p_values() -> None:
    rng = np.random.default_rng(1)
    table = [tuple(np.arange(6) + rng.normal(scale=1.2, size=6)) for _ in range(12)]
    across = over(*table)
    assert across.p is not None
    assert across.p < 0.05
    assert across.critical_difference is not None
    for a, first in across.ranks.items():
        for b, second in across.ranks.items():
            assert (abs(first - second) < across.critical_difference) == (across.p_values[a][b] > 0.05), (a, b)


def test_p_values_of_pairs_are_those_of_scikit_posthocs() -> None:
    table = np.random.default_rng(2).permuted(np.tile(np.arange(5.0), (9, 1)), axis=1)
    across = over(*map(tuple, table))
    expected = posthoc_nemenyi_friedman(table).to_numpy()
    found = [[across.p_values[a][b] for b in "abcde"] for a in "abcde"]
    assert np.array(found) == pytest.approx(np.minimum(expected, 1.0), abs=1e-6)


def test_runs_that_correlate_over_tasks_count_as_fewer_tasks() -> None:
    rng, sources = np.random.default_rng(3), list("abcd")
    runs = rng.normal(size=(3, 40)) / 1e-9
    alone = [rng.normal(size=(3, 40)) / 1e-9 for _ in sources]
    same, apart = rank_test([runs] * 4, sources), rank_test(alone, sources)
    assert same.design_effect == pytest.approx(4)
    assert same.statistic == pytest.approx(friedmanchisquare(*same.table.T).statistic / 4)
    assert 1 <= apart.design_effect < 1.3
    half = [np.where(rng.random(40) < 0.1, np.nan, own) for own in (alone[0], alone[0], *alone[2:])]
    assert 1.3 < rank_test(half, sources).design_effect < 1.8  # two of four are one
    assert rank_test([runs, -runs], ["a", "b"]).design_effect == 1  # only a positive correlation misleads


def test_without_a_finding_the_best_is_above_none() -> None:
    across = over((1.0, 2, 3), (3.0, 2, 1), (2.0, 1, 3), (2.0, 3, 1))
    assert across.p is not None
    assert across.p > 0.05
    assert (len(across.level_with), across.below) == (2, [])


def test_equal_medians_share_a_rank() -> None:
    assert over((0.1 + 0.2, 0.3, 0.0), (1, 1, 0)).ranks == {"a": 1.5, "b": 1.5, "c": 3.0}


def test_two_strategies_are_tallied_and_not_ranked_by_a_test() -> None:
    across = over((1.0, 2.0), (5.0, 3.0), (1.0, 2.0))
    assert (across.statistic, across.p, across.critical_difference, across.p_values) == (None, None, None, {})
    assert across.tallies["a"]["b"] == (1, 0, 2, 0)
    assert across.tallies["b"]["a"] == (2, 0, 1, 0)
    assert "needs three strategies" in across.words


def test_tasks_that_a_strategy_lacks_are_not_ranked() -> None:
    whole, part = finals(a=[3] * 7, b=[2] * 7, c=[1] * 7), finals(a=[3] * 7, b=[2] * 7)
    across = analyse(compared(whole, part, whole, whole), resamples=20).across
    assert across is not None
    assert across.tasks == ("task0", "task2", "task3")
    assert across.tallies["a"]["b"].wins == 4
    assert across.tallies["a"]["c"].wins == 3


@pytest.mark.parametrize(("strategies", "level"), [(3, 0.05), (4, 0.05), (12, 0.05), (3, 0.001)])
def test_the_fewest_tasks_are_those_that_scipy_needs(strategies: int, level: float) -> None:
    fewest = fewest_tasks(strategies, level)
    clear = np.tile(np.arange(strategies), (fewest, 1))
    assert friedmanchisquare(*clear.T).pvalue <= level
    if fewest > 2:
        assert friedmanchisquare(*clear[1:].T).pvalue > level


def test_tasks_of_one_table_count_as_one() -> None:
    tasks = [finals(a=[3] * 7, b=[2] * 7, c=[1] * 7)] * 4 + [finals(a=[1] * 7, b=[2] * 7, c=[3] * 7)]
    comparison = compared(*tasks)
    records = [replace(each, source="t.jsonl") for each in comparison.tasks[:4]]
    apart = analyse(comparison, resamples=20).across
    joined = analyse(replace(comparison, tasks=(*records, comparison.tasks[4])), resamples=20).across
    assert apart is not None
    assert joined is not None
    assert (apart.sources, joined.sources, len(joined.tasks)) == (5, 2, 5)
    assert joined.ranks == {"a": 2.0, "b": 2.0, "c": 2.0} != apart.ranks
    assert joined.p == pytest.approx(1.0)
    assert "five tasks of two sources, where the tasks of one table count as one, do not differ" in joined.words
    assert joined.tallies["a"]["b"].wins == 4


def test_held_out_tasks_are_ranked_apart() -> None:
    comparison = compared(*[finals(a=[3] * 7, b=[2] * 7, c=[1] * 7), finals(a=[1] * 7, b=[2] * 7, c=[3] * 7)] * 3)
    records = tuple(replace(each, held_out=n % 2 == 1) for n, each in enumerate(comparison.tasks))
    analysis = analyse(replace(comparison, tasks=records), resamples=20)
    assert analysis.held_out is not None
    assert analysis.held_out.tasks == ("task1", "task3", "task5")
    assert next(iter(analysis.held_out.ranks)) == "c"
    assert any(line.startswith("On the 3 held-out tasks alone: c has the best") for line in analysis.summary)
    assert analyse(comparison, resamples=20).held_out is None


def test_too_few_tasks_are_said_to_be_too_few() -> None:
    assert "Significance needs at least three tasks" in over((3.0, 2, 1), (3.0, 2, 1)).words
    assert "Significance needs" not in over((3.0, 2, 1), (3.0, 2, 1), (3.0, 2, 1)).words


def test_one_task_has_no_across() -> None:
    assert analyse(compared(finals(a=[1] * 6, b=[2] * 6)), resamples=20).across is None


def test_ranks_without_any_difference_are_not_tested() -> None:
    across = over((1.0, 1, 1), (2.0, 2, 2))
    assert (across.p, across.p_values) == (None, {})
    assert (across.level_with, across.below) == (["b", "c"], [])
