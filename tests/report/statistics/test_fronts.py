"""Fronts: the undominated points and the area that they dominate, against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from nasformer.errors import NasformerError
from nasformer.report.statistics import analyse
from nasformer.search.front import hypervolume, undominated
from tests.report.statistics.comparisons import compared


@pytest.mark.parametrize("seed", range(5))
def test_undominated_points_are_those_that_no_other_beats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 12, size=(40, 2)).astype(float)
    kept = {
        (cost, value)
        for cost, value in map(tuple, points)
        if not any((c <= cost and v >= value) and (c < cost or v > value) for c, v in points)
    }
    front = undominated(*points.T)
    assert set(map(tuple, front.T)) == kept
    assert len(front.T) == len(kept)


@pytest.mark.parametrize("seed", range(3))
def test_hypervolume_is_the_share_of_cells_dominated(seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 10, size=(15, 2)).astype(float)
    cells = [(cost, value) for cost in range(10) for value in range(10)]
    covered = sum(any(c <= cost and v >= value + 1 for c, v in points) for cost, value in cells)
    assert hypervolume(undominated(*points.T), reference=(10.0, 0.0)) == covered


def test_fronts_of_a_task_by_hand() -> None:
    told = {"a": [[1.0, 2.0, 4.0], [1.0, 3.0, 2.0]], "b": [[0.0, 1.0, np.nan], [2.0, 1.0, 1.0]]}
    params = {"a": [[1, 2, 3], [1, 2, 3]], "b": [[1, 2, 3], [1, 2, 3]]}
    found = analyse(compared(told, params=params), resamples=20, front="params").tasks[0].fronts
    assert found["a"].reference == (3, 0)
    assert found["a"].ideal == (1, 4)
    assert found["a"].costs.tolist() == [1, 2, 3]
    assert found["a"].values.tolist() == [1, 3, 4]
    # the box is 2 by 4; a's runs cover 1 + 2 and 1 + 3 of it, b's 0 + 1 and 2 + 2
    assert found["a"].hypervolume == pytest.approx((3 / 8 + 4 / 8) / 2)
    assert found["b"].quartiles == pytest.approx((1 / 8 + 0.25 * 3 / 8, 1 / 8 + 0.75 * 3 / 8))


def test_fronts_are_given_only_where_asked_for_and_name_an_unknown_cost() -> None:
    comparison = compared({"a": [[1.0, 2.0]]})
    assert analyse(comparison, resamples=20).tasks[0].fronts == {}
    with pytest.raises(NasformerError, match="the trials of task0 have no cost 'latency_ms'; known: 'macs', 'params'"):
        analyse(comparison, resamples=20, front="latency_ms")
