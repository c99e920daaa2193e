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

    A run has no value before its first successful evaluation. Quantiles treat that as minus infinity.

    Args:
        evaluations: (n,) log-spaced evaluations, including first and last.
        median: (n,).
        low: (n,) lower quartile.
        high: (n,) upper quartile.
    """

    evaluations: NDArray[np.int64]
    median: Floats
    low: Floats
    high: Floats


def curves(runs: Runs) -> Mapping[str, Curve]:
    """Return the curve of each strategy, in values."""
    return {
        label: _curve(values[complete])
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


def _curve(values: Floats) -> Curve:
    at = points(values.shape[-1])
    drawn = values[:, at - 1]
    with np.errstate(invalid="ignore"):
        found = np.quantile(np.where(np.isnan(drawn), -np.inf, drawn), (0.25, 0.5, 0.75), axis=0)
    low, median, high = np.where(np.isfinite(found), found, np.nan)
    return Curve(at, median, low, high)


def _regret(curve: Curve, optimum: float) -> Curve:
    """Return a curve as regret; upper and lower ends swap."""
    flipped = (curve.median, curve.high, curve.low)
    return Curve(curve.evaluations, *(np.maximum(0.0, optimum - values) for values in flipped))
