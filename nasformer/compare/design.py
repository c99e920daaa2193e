"""SharedDesign: a random initial design common to all strategies of a seed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.registry import StrategyFactory
from nasformer.search import Strategy, Trial
from nasformer.space import FeasibleSet

_OPTIONAL = ("keeps", "probes", "counts")
"""Optional members of a strategy, which are those of the wrapped one."""


class SharedDesign:
    """A strategy that starts from a random design, drawn with its seed; ``evaluations`` include the design."""

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

    def __getattr__(self, name: str) -> Any:
        if name in _OPTIONAL and "_strategy" in vars(self):
            return getattr(self._strategy, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return the design, then the strategy's proposals."""
        if self._design:
            return [self._design.pop() for _ in range(min(n, len(self._design)))]
        return self._strategy.ask(n)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell the strategy."""
        self._strategy.tell(trials)

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the strategy's recommendations."""
        return self._strategy.recommend(k)


def shared_design(factory: StrategyFactory, size: int) -> StrategyFactory:
    """Return a factory of strategies with an initial design."""
    return partial(SharedDesign, factory=factory, size=size)
