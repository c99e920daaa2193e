"""Pareto fronts of value and cost, and their hypervolume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def undominated(costs: Floats, values: Floats) -> Floats:
    """Return the non-dominated points (2, n) by ascending cost; points with NaN are dropped.

    >>> undominated(np.array([3.0, 1.0, 2.0, 2.0]), np.array([9.0, 4.0, 4.0, 6.0])).tolist()
    [[1.0, 2.0, 3.0], [4.0, 6.0, 9.0]]
    """
    known = ~(np.isnan(costs) | np.isnan(values))
    costs, values = costs[known], values[known]
    order = np.lexsort((-values, costs))
    costs, values = costs[order], values[order]
    before = np.r_[-np.inf, np.maximum.accumulate(values)[:-1]] if len(values) else values
    return np.stack([costs[values > before], values[values > before]])


def hypervolume(front: Floats, reference: tuple[float, float]) -> float:
    """Return the area dominated by a front (2, n), by ascending cost, relative to a reference (cost, value).

    >>> hypervolume(np.array([[1.0, 3.0], [2.0, 5.0]]), reference=(4.0, 0.0))
    9.0
    """
    costs, values = front
    widths = np.diff(np.r_[costs, reference[0]])
    return float(np.sum(widths * (values - reference[1])))
