"""Anytime curves: value of the incumbent by evaluations, over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasformer.report.statistics.runs import Floats, Runs

_POINTS = 200


@dataclass(frozen=True, eq=False)
class Curve:
    """An anytime curve of one strategy over its seeds.

    A run has no value before its first successful evaluation. Quantiles treat that as minus infinity; the
    mean is NaN until all runs have a value.

    Args:
        evaluations: (n,) log-spaced evaluations, including first and last.
        median: (n,).
        low: (n,) lower quartile.
        high: (n,) upper quartile.
        mean: (n,).
        mean_low: (n,) lower end of the mean's bootstrap interval.
        mean_high: (n,) upper end.
    """

    evaluations: NDArray[np.int64]
    median: Floats
    low: Floats
    high: Floats
    mean: Floats
    mean_low: Floats
    mean_high: Floats


def curves(runs: Runs, level: float, resamples: int, seed: int) -> Mapping[str, Curve]:
    """Return the curve of each strategy, in values."""
    return {
        label: _curve(values[complete], level, resamples, seed)
        for label, values, complete in zip(runs.labels, runs.curve, runs.complete, strict=True)
    }


def regret_curves(found: Mapping[str, Curve], optimum: float | None) -> Mapping[str, Curve]:
    """Return the curves as regret; empty if the optimum is unknown."""
    return {} if optimum is None else {label: _regret(curve, optimum) for label, curve in found.items()}


def points(evaluations: int) -> NDArray[np.int64]:
    """Return log-spaced numbers of evaluations.

    >>> points(8).tolist(), len(points(10**6)) <= 200
    ([1, 2, 3, 4, 5, 6, 7, 8], True)
    """
    return np.unique(np.round(np.geomspace(1, evaluations, _POINTS)).astype(np.int64))


def _curve(values: Floats, level: float, resamples: int, seed: int) -> Curve:
    at = points(values.shape[-1])
    drawn = values[:, at - 1]
    low, median, high = _quartiles(drawn)
    mean = drawn.mean(axis=0)
    return Curve(at, median, low, high, mean, *_mean_interval(drawn, mean, level, resamples, seed))


def _quartiles(values: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        found = np.quantile(np.where(np.isnan(values), -np.inf, values), (0.25, 0.5, 0.75), axis=0)
    return np.where(np.isfinite(found), found, np.nan)


def _mean_interval(values: Floats, mean: Floats, level: float, resamples: int, seed: int) -> tuple[Floats, Floats]:
    from scipy.stats import bootstrap

    if len(values) < 2:
        return mean, mean
    known, low, high = ~np.isnan(mean), mean.copy(), mean.copy()
    if known.any():
        options = {"n_resamples": resamples, "confidence_level": 1 - level, "method": "percentile"}
        drawn = bootstrap((values[:, known],), np.mean, axis=0, rng=np.random.default_rng(seed), **options)
        low[known], high[known] = drawn.confidence_interval
    return low, high


def _regret(curve: Curve, optimum: float) -> Curve:
    """Return a curve as regret; upper and lower ends swap."""
    flipped = (curve.median, curve.high, curve.low, curve.mean, curve.mean_high, curve.mean_low)
    return Curve(curve.evaluations, *(np.maximum(0.0, optimum - values) for values in flipped))
