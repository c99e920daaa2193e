"""Aging evolution: the oldest of a population dies, however good (Real et al., AAAI 2019).

"Regularized Evolution for Image Classifier Architecture Search": a few of the population are drawn, the
best of them gets a child that differs in one choice, and the oldest makes room for it. A child outside the
budget is brought back by a second change. Age is the place in the search, so the order of tells is no matter.
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
        seed: Of all randomness.
        evaluations: How many architectures the search will look at.
        batch_size: How many are asked at a time.
        population: How many live at a time; as many random draws begin the search.
        sample: How many are drawn for each child, of which the best is its parent.

    Attributes:
        living: The population, oldest first.
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
        self.living: list[Trial] = []
        self._neighbours = Neighbours(feasible)

    def propose(self) -> Architecture:
        """Return a child of the best of a sample; random draws until there is a population."""
        if len(self._asked) < self.population or not self.living:
            return self.draw()
        drawn = self.rng.sample(self.living, min(self.sample, len(self.living)))
        parent = min(drawn, key=lambda trial: trial.rank).architecture
        children = self._neighbours.of(parent, self.rng)
        return next((child for child in children if child not in self._asked), parent)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Let the newborn in and the oldest go; what failed was never born."""
        super().tell(trials)
        for trial in trials:
            if trial.value is not None:
                insort(self.living, trial, key=lambda each: each.number)
        del self.living[: -self.population]
