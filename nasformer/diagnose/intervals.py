"""Estimates with confidence intervals, as plain values.

Means and mean paired differences have Student's interval; rank correlations have percentile bootstrap intervals over
architectures (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), which are too narrow for few:
their significance is judged by the p-value, which is exact for Kendall's tau without ties.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95
_RESAMPLES = 2000

IntervalEstimate = dict[str, float | None]
"""``value``, ``low`` and ``high``; the ends are None if there are too few data."""


def mean_of(values: ArrayLike) -> IntervalEstimate:
    """Return a mean with its interval.

    >>> mean_of([1.0, 2.0, 3.0])["value"]
    2.0
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2 or not np.ptp(x):
        return {"value": float(x.mean()), "low": None, "high": None}
    ends = stats.ttest_1samp(x, 0).confidence_interval(LEVEL)
    return {"value": float(x.mean()), "low": float(ends.low), "high": float(ends.high)}


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
    found: dict[str, IntervalEstimate] = {}
    for name, function in {"kendall": stats.kendalltau, "spearman": stats.spearmanr}.items():
        value, p = _correlation(first, second, function)
        drawn = stats.bootstrap(
            (first, second),
            partial(_statistic, function=function),
            paired=True,
            vectorized=False,
            n_resamples=_RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
        low, high = map(float, drawn.confidence_interval)
        found[name] = {"value": value, "low": low, "high": high, "p": p}
    return found


def kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Return Kendall's tau-b; 0 if one ranking is constant."""
    return _statistic(first, second, stats.kendalltau)


def _statistic(first: ArrayLike, second: ArrayLike, function: Any) -> float:
    return _correlation(first, second, function)[0]


def _correlation(first: ArrayLike, second: ArrayLike, function: Any) -> tuple[float, float]:
    """Return a rank correlation and its p-value; 0 and 1 if one ranking is constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        found = function(first, second)
    return (0.0, 1.0) if np.isnan(found.statistic) else (float(found.statistic), float(found.pvalue))
