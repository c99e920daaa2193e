"""Walk: choices that are uniform, of those allowed at each place, given the sum that they reach.

With P_n(s) the chance that the first n choices are allowed and sum to s: P_0(0) = 1 and
P_n(s) = sum over the options o allowed at place n of P_{n-1}(s - cost(o)) / options. Backwards from a sum s,
the last option is o with probability P_{n-1}(s - cost(o)) / (options P_n(s)); then the same from s - cost(o).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasformer.space.chain import Chain, Indices

Allowed = NDArray[np.bool_]
"""Which options each choice may take, ``(choices, options)``."""
_KEPT = 2**16
"""Tables up to this many entries are kept between draws."""


class Walk:
    """Chances of the sums of a chain, and draws of the choices behind them.

    Args:
        chain: The chain.
        choices: The most choices made.
        allowed: Options that may be taken; None: all.
    """

    def __init__(self, chain: Chain, choices: int, allowed: Allowed | None = None) -> None:
        self.chain = chain
        self._share = np.full((choices, chain.options), 1 / chain.options) * (1 if allowed is None else allowed)
        self._probability = [np.ones(1)]
        self._running: dict[int, NDArray[np.float64]] = {}
        for n in range(1, choices + 1):
            self._probability.append(self._joint(n, chain.predecessor(n)).sum(axis=1))

    def probability(self, n: int) -> NDArray[np.float64]:
        """Return the chance of each sum of ``n`` choices, ``(sums,)``."""
        return self._probability[n]

    def draw(self, n: int, at: Indices, rng: np.random.Generator) -> Indices:
        """Draw the ``n`` choices behind given sums, each of some chance: option indices, ``(draws, n)``."""
        options = np.empty((len(at), n), dtype=np.int64)
        for place in range(n, 0, -1):
            taken = (rng.random(len(at))[:, None] >= self._cumulative(place, at)[:, :-1]).sum(axis=1)
            options[:, place - 1] = taken
            at = self.chain.before(place, at, taken)
        return options

    def _joint(self, n: int, predecessor: Indices) -> NDArray[np.float64]:
        joint: NDArray[np.float64] = np.append(self._probability[n - 1], 0.0)[predecessor] * self._share[n - 1]
        return joint

    def _cumulative(self, n: int, at: Indices) -> NDArray[np.float64]:
        """Running chance of the last option given the sums ``at``, ``(draws, options)``."""
        if self.chain.size(n) * self.chain.options > _KEPT:
            return _normalised(self._joint(n, self.chain.predecessor_at(n, at)))
        if n not in self._running:
            self._running[n] = _normalised(self._joint(n, self.chain.predecessor(n)))
        return self._running[n][at]


def _normalised(joint: NDArray[np.float64]) -> NDArray[np.float64]:
    running: NDArray[np.float64] = joint.cumsum(axis=1)
    total = running[:, -1:]
    np.divide(running, total, out=running, where=total > 0)  # exactly 1 from the last possible option on
    return running
