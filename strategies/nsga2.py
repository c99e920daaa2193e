"""NSGA-II: accuracy against a cost, as a front instead of one winner (Deb et al., 2002), by Optuna's sampler.

Within the budget it looks for architectures that no other beats in both the value and the cost;
``SearchResult.pareto`` holds those found. The first population is drawn at random within the budget.
"""

from __future__ import annotations

import sys

from optuna.study import StudyDirection

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError, did_you_mean
from nasformer.space import FeasibleSet
from nasformer.strategies.optuna import Optuna


class Nsga2(Optuna):
    """Optuna's NSGA-II on the value, upwards, and a cost, downwards.

    Args:
        feasible: The set to search.
        seed: Of all randomness.
        evaluations: How many architectures the search will look at.
        batch_size: How many are asked at a time.
        cost: The cost to lower: ``params``, ``macs``.
        population: Architectures per generation.
    """

    variant = None
    directions = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        cost: str = "params",
        population: int = 50,
    ) -> None:
        known = feasible.space.costs(feasible.space.smallest)
        if not isinstance(cost, str) or cost not in known:
            raise StrategyError(f"unknown cost {cost!r}; {did_you_mean(str(cost), known)}", cost)
        if not isinstance(population, int) or population < 2:
            raise StrategyError(f"population must be a whole number of at least 2, got {population!r}", population)
        self.cost, self.keeps = cost, sys.maxsize  # what has a low value may still be on the front
        super().__init__(
            feasible,
            seed=seed,
            evaluations=evaluations,
            batch_size=batch_size,
            sampler="NSGAIISampler",
            startup=population,
            population_size=population,
        )

    def objectives(self, architecture: Architecture, value: float) -> list[float]:
        """Return the value and the cost."""
        return [value, self.space.costs(architecture)[self.cost]]
