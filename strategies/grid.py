"""Grid: every architecture once, in an order of which any beginning is spread over the whole set.

The set is listed by its codes, ordered by width, depth, heads and ratios, and walked in steps of the golden
section of its length, around and around (a Kronecker sequence; Weyl, 1916): a grid that is cut short is an
even sample and no corner. The seed says where the walk begins.
"""

from __future__ import annotations

import math

import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.search import BaseStrategy
from nasformer.space import FeasibleSet


class Grid(BaseStrategy):
    """Enumeration of a set that is small enough.

    Args:
        feasible: The set to search.
        seed: Where to begin.
        evaluations: How many architectures the search will look at.
        batch_size: How many are asked at a time.
        limit: Most architectures that the set may have, since all are listed.

    Raises:
        StrategyError: The set has more; the error's ``value`` is the set.
    """

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        limit: int = 100_000,
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        if not isinstance(limit, int) or limit < 1:
            raise StrategyError(f"limit must be a whole number of at least 1, got {limit!r}", limit)
        if feasible.at_most() > limit:
            raise StrategyError(
                f"grid lists at most limit={limit:,} architectures, and {feasible.at_most():,} are feasible; "
                "tighten the budget, raise the limit, or search with 'random'",
                feasible,
            )
        codes = feasible.codes(limit)
        self._codes = codes[np.lexsort(codes.T[::-1])]
        self._at = int(np.random.default_rng(seed).integers(len(codes)))
        self._step = _step(len(codes))

    def propose(self) -> Architecture:
        """Return the next on the walk."""
        (architecture,) = self.space.decode(self._codes[self._at : self._at + 1])
        self._at = (self._at + self._step) % len(self._codes)
        return architecture


def _step(count: int) -> int:
    """Return the step nearest below the golden section of a length that meets every place once.

    >>> [_step(count) for count in (1, 2, 10, 1000)]
    [1, 1, 3, 617]
    """
    step = max(1, int(count * (math.sqrt(5) - 1) / 2))
    while math.gcd(step, count) > 1:
        step -= 1
    return step
