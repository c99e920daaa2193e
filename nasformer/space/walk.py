"""Walk: backward sampling of uniform choices, conditioned on their sum and on masks.

With P_n(s) the probability that the first n choices are allowed and sum to s: P_0(0) = 1 and
P_n(s) = sum over the options o allowed at step n of P_{n-1}(s - cost(o)) / options. Backwards from a sum s,
the last option is o with probability P_{n-1}(s - cost(o)) / (options P_n(s)); then recurse from s - cost(o).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasformer.space.chain import Chain, Indices

Allowed = NDArray[np.bool_]
"""Mask of the options allowed at each step, ``(choices, options)``."""
_MAX_CACHED = 2**16
"""Maximal entries of a table that is cached between draws."""


class Walk:
    """Probabilities of a chain's sums, and draws of choices conditioned on them.

    Args:
        chain: The chain.
        choices: Maximal number of choices.
        allowed: Mask of allowed options; None: all.
    """

    def __init__(self, chain: Chain, choices: int, allowed: Allowed | None = None) -> None:
        self.chain = chain
        self._weights = np.full((choices, chain.options), 1 / chain.options) * (1 if allowed is None else allowed)
        self._probability = [np.ones(1)]
        self._cached: dict[int, NDArray[np.float64]] = {}
        for n in range(1, choices + 1):
            self._probability.append(self._joint(n, chain.predecessor(n)).sum(axis=1))

    def probability(self, n: int) -> NDArray[np.float64]:
        """Return the probability of each sum of ``n`` choices, ``(sums,)``."""
        return self._probability[n]

    def draw(self, n: int, at: Indices, rng: np.random.Generator) -> Indices:
        """Draw ``n`` choices for each given sum of positive probability: option indices, ``(draws, n)``."""
        options = np.empty((len(at), n), dtype=np.int64)
        for step in range(n, 0, -1):
            taken = (rng.random(len(at))[:, None] >= self._cumulative(step, at)[:, :-1]).sum(axis=1)
            options[:, step - 1] = taken
            at = self.chain.before(step, at, taken)
        return options

    def _joint(self, n: int, predecessor: Indices) -> NDArray[np.float64]:
        joint: NDArray[np.float64] = np.append(self._probability[n - 1], 0.0)[predecessor] * self._weights[n - 1]
        return joint

    def _cumulative(self, n: int, at: Indices) -> NDArray[np.float64]:
        """Return cumulative probabilities of the last option given the sums ``at``, ``(draws, options)``."""
        if self.chain.size(n) * self.chain.options > _MAX_CACHED:
            return _cumulative_rows(self._joint(n, self.chain.predecessor_at(n, at)))
        if n not in self._cached:
            self._cached[n] = _cumulative_rows(self._joint(n, self.chain.predecessor(n)))
        return self._cached[n][at]


def _cumulative_rows(joint: NDArray[np.float64]) -> NDArray[np.float64]:
    cumulative: NDArray[np.float64] = joint.cumsum(axis=1)
    total = cumulative[:, -1:]
    np.divide(cumulative, total, out=cumulative, where=total > 0)  # exactly 1 from the last possible option on
    return cumulative
