"""Estimates with confidence intervals, as plain values.

Means and mean paired differences have Student's interval; rank correlations have percentile bootstrap intervals over
architectures (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), which are too narrow for few:
their significance is judged by the p-value, which is exact for Kendall's tau without ties.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
_RESAMPLES = 2000

IntervalEstimate = dict[str, float | None]
"""``value``, ``low`` and ``high``; the ends are None if there are too few data."""


def mean_of(values: ArrayLike) -> IntervalEstimate:
    """Return a mean with its interval.

    >>> mean_of([1.0, 2.0, 3.0])["value"]
    2.0
    """
    from scipy import stats

    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if len(x) < 2 or not np.ptp(x):
        return {"value": mean, "low": None, "high": None}
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return {"value": mean, "low": mean - half, "high": mean + half}


def spread_of(values: ArrayLike) -> IntervalEstimate:
    """Return a mean with the central 95 % range of the values."""
    x = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(x, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": float(x.mean()), "low": float(low), "high": float(high)}


def ranks(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> dict[str, IntervalEstimate]:
    """Return Kendall's tau-b and Spearman's rho of two rankings of the same architectures, with intervals and p-values.

    >>> ranks([1, 2, 3, 4], [10, 20, 30, 40])["kendall"]["value"]
    1.0
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    rows = np.random.default_rng(seed).integers(len(x), size=(_RESAMPLES, len(x)))
    return {name: _correlation(name, x, y, rows) for name in ("kendall", "spearman")}


def kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Return Kendall's tau-b; 0 if one ranking is constant."""
    return _rank_correlation("kendall", np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))[0]


def _correlation(
    name: str, x: NDArray[np.float64], y: NDArray[np.float64], rows: NDArray[np.int64]
) -> IntervalEstimate:
    drawn = [_rank_correlation(name, x[row], y[row])[0] for row in rows]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value, p = _rank_correlation(name, x, y)
    return {"value": value, "low": float(low), "high": float(high), "p": p}


def _rank_correlation(name: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return the correlation and its p-value; 0 and 1 if one ranking is constant."""
    from scipy import stats

    function: Any = {"kendall": stats.kendalltau, "spearman": stats.spearmanr}[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        found = function(x, y)
    return (0.0, 1.0) if np.isnan(found.statistic) else (float(found.statistic), float(found.pvalue))
