"""NSGA-II: the Pareto front of value and a cost (Deb et al., 2002), by Optuna's sampler.

It searches the non-dominated architectures within the budget; ``SearchResult.pareto`` has those found. The initial
population is random within the budget. With several budgets it searches the whole range, one front for all of them.
"""

from __future__ import annotations

import sys

from optuna.study import StudyDirection

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError, did_you_mean
from nasformer.space import FeasibleSet
from nasformer.strategies.optuna import Optuna


class Nsga2(Optuna):
    """Optuna's NSGA-II, maximising the value and minimising a cost.

    Args:
        feasible: The set to search.
        seed: Random seed.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask.
        cost: The cost to minimise, such as ``params`` or ``macs``.
        population: Population size.
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
        self.cost, self.keeps = cost, sys.maxsize  # low values may still be Pareto-optimal
        super().__init__(
            feasible,
            seed=seed,
            evaluations=evaluations,
            batch_size=batch_size,
            sampler="NSGAIISampler",
            startup=population,
            population_size=population,
        )

    def focus(self, feasible: FeasibleSet) -> None:
        """Recommend for one budget; the asks are for the front of all."""
        self.target = feasible

    def objectives(self, architecture: Architecture, value: float) -> list[float]:
        """Return the value and the cost."""
        return [value, self.space.costs(architecture)[self.cost]]
