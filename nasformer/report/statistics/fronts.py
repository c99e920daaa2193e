"""Pareto fronts of the strategies on a task, and their hypervolume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nasformer.errors import NasformerError
from nasformer.report.statistics.runs import Floats, Runs
from nasformer.search.front import hypervolume, undominated


@dataclass(frozen=True, eq=False)
class Front:
    """The Pareto front of one strategy on one task.

    Args:
        cost: Name of the cost.
        costs: (n,) ascending costs of the non-dominated architectures of all seeds.
        values: (n,) ascending values.
        hypervolume: Median over seeds of a run's normalised hypervolume, the fraction of the box between
            ``reference`` and ``ideal`` that its front dominates.
        quartiles: Its lower and upper quartile.
        reference: Highest cost and lowest value on the front of any run of the task.
        ideal: Lowest cost and highest value on the front of any run of the task.
    """

    cost: str
    costs: Floats
    values: Floats
    hypervolume: float
    quartiles: tuple[float, float]
    reference: tuple[float, float]
    ideal: tuple[float, float]


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
