"""Aging evolution: tournament selection, and the oldest member dies (Real et al., AAAI 2019).

"Regularized Evolution for Image Classifier Architecture Search": the best of a random sample of the population is
mutated in one gene, and the child replaces the oldest member. Infeasible children are repaired by a second mutation.
Age is the position in the search, so the order of tells does not matter.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.search import BaseStrategy, Trial
from nasformer.space import FeasibleSet
from nasformer.strategies._neighbours import Neighbours


class AgingEvolution(BaseStrategy):
    """Regularised evolution.

    Args:
        feasible: The set to search.
        seed: Random seed.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask.
        population: Population size, and initial random samples.
        sample: Tournament size.

    Attributes:
        members: The population, oldest first.
    """

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        population: int = 50,
        sample: int = 10,
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        for name, number in (("population", population), ("sample", sample)):
            if not isinstance(number, int) or number < 1:
                raise StrategyError(f"{name} must be a whole number of at least 1, got {number!r}", number)
        if sample > population:
            raise StrategyError(f"sample must be at most the population of {population}, got {sample}", sample)
        self.population, self.sample = population, sample
        self.members: list[Trial] = []
        self._neighbours = Neighbours(feasible)

    def propose(self) -> Architecture:
        """Return a mutation of the tournament winner; random until the population is full."""
        if len(self._asked) < self.population or not self.members:
            return self.draw()
        drawn = self.rng.sample(self.members, min(self.sample, len(self.members)))
        parent = min(drawn, key=lambda trial: trial.rank).architecture
        children = self._neighbours.of(parent, self.rng, self._asked)
        return next((child for child in children if child not in self._asked), parent)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Add successful trials to the population and drop the oldest members."""
        super().tell(trials)
        for trial in trials:
            if trial.value is not None:
                insort(self.members, trial, key=lambda each: each.number)
        del self.members[: -self.population]
