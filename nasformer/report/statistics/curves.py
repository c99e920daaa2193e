"""Anytime curves, over seeds, and Pareto fronts with their hypervolume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import NasformerError
from nasformer.report.statistics.runs import Floats, Runs
from nasformer.search.front import hypervolume, undominated

_POINTS = 200


@dataclass(frozen=True, eq=False)
class Curve:
    """An anytime curve of one strategy, (n,) log-spaced evaluations, over its seeds.

    A run has no value before its first successful evaluation. Quantiles treat that as minus infinity.
    """

    evaluations: NDArray[np.int64]
    median: Floats
    low: Floats  # lower quartile
    high: Floats  # upper quartile


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


@dataclass(frozen=True, eq=False)
class Front:
    """The Pareto front of one strategy on one task."""

    cost: str
    costs: Floats  # (n,) ascending, of the non-dominated architectures of all seeds
    values: Floats  # (n,) ascending
    hypervolume: float  # median over seeds: the share of the box from reference to ideal that a run's front dominates
    quartiles: tuple[float, float]  # of the hypervolume
    reference: tuple[float, float]  # highest cost and lowest value on the front of any run of the task
    ideal: tuple[float, float]  # lowest cost and highest value on the front of any run of the task


def fronts(runs: Runs, cost: str) -> Mapping[str, Front]:
    """Return the front of each strategy.

    Raises:
        NasformerError: The trials have no such cost.
    """
    if cost not in runs.costs:
        raise NasformerError(
            f"the trials of {runs.record.name} have no cost {cost!r}; known: {', '.join(map(repr, runs.costs))}", cost
        )
    single = {
        label: [undominated(runs.costs[cost][s, r], _values(runs)[s, r]) for r in np.flatnonzero(runs.complete[s])]
        for s, label in enumerate(runs.labels)
    }
    ends = np.concatenate([front for found in single.values() for front in found], axis=1)
    if not ends.size:
        return {}
    reference, ideal = (float(ends[0].max()), float(ends[1].min())), (float(ends[0].min()), float(ends[1].max()))
    return {label: _front(cost, found, reference, ideal) for label, found in single.items()}


def _values(runs: Runs) -> Floats:
    return np.where(np.isnan(runs.told), np.nan, runs.true)


def _front(cost: str, found: list[Floats], reference: tuple[float, float], ideal: tuple[float, float]) -> Front:
    box = (reference[0] - ideal[0]) * (ideal[1] - reference[1])
    shares = [hypervolume(front, reference) / box if box else 0.0 for front in found]
    low, median, high = (float(share) for share in np.quantile(shares, (0.25, 0.5, 0.75)))
    costs, values = undominated(*np.concatenate(found, axis=1))
    return Front(cost, costs, values, median, (low, high), reference, ideal)
