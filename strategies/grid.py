"""Grid: enumeration in a low-discrepancy order, so that every prefix covers the whole set evenly.

The codes are sorted by width, depth, heads and ratios, and visited in steps of the golden section of their number,
modulo that number (a Kronecker sequence; Weyl, 1916). The seed sets the start.
"""

from __future__ import annotations

import math

import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.search import BaseStrategy
from nasformer.space import FeasibleSet


class Grid(BaseStrategy):
    """Exhaustive enumeration of a small set.

    Args:
        feasible: The set to search.
        seed: Sets the start.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask.
        limit: Maximal size of the set, which is held in memory.

    Raises:
        StrategyError: The set is larger; the error's ``value`` is the set.
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
        """Return the next architecture of the sequence."""
        (architecture,) = self.space.decode(self._codes[self._at : self._at + 1])
        self._at = (self._at + self._step) % len(self._codes)
        return architecture


def _step(count: int) -> int:
    """Return the largest step up to the golden section of a length that is coprime to it.

    >>> [_step(count) for count in (1, 2, 10, 1000)]
    [1, 1, 3, 617]
    """
    step = max(1, int(count * (math.sqrt(5) - 1) / 2))
    while math.gcd(step, count) > 1:
        step -= 1
    return step
