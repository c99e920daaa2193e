"""SharedDesign: every strategy begins with the same architectures, drawn by the seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.registry import StrategyFactory
from nasformer.search import Strategy, Trial
from nasformer.space import FeasibleSet


class SharedDesign:
    """A strategy that is first told a design it did not choose.

    Args:
        feasible: The set to search.
        factory: Of the strategy.
        size: Of the design.
        seed: Of the design and of the strategy.
        evaluations: How many architectures the search will look at, the design among them.
        batch_size: How many are asked at a time.
        **options: Of the strategy.
    """

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        factory: StrategyFactory,
        size: int,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        **options: Any,
    ) -> None:
        drawn = feasible.sample(4 * size, np.random.default_rng([seed, 0x6465_7369]))
        self._design = list(dict.fromkeys(drawn))[:size][::-1]
        known = {"seed": seed, "evaluations": evaluations, "batch_size": batch_size}
        self._strategy: Strategy = factory(feasible, **known, **options)
        self.keeps: int = getattr(self._strategy, "keeps", 1)

    @property
    def counts(self) -> dict[str, int]:
        """The strategy's."""
        return dict(getattr(self._strategy, "counts", {}))

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return the next of the design; after it, what the strategy asks."""
        if self._design:
            return [self._design.pop() for _ in range(min(n, len(self._design)))]
        return self._strategy.ask(n)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell the strategy."""
        self._strategy.tell(trials)

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return what the strategy recommends."""
        return self._strategy.recommend(k)


def shared_design(factory: StrategyFactory, size: int) -> StrategyFactory:
    """Return a factory of strategies that begin with a design of a size."""
    return partial(SharedDesign, factory=factory, size=size)
