"""How far behind is too far: the critical value of a race, simulated where all contestants are equal.

Of equals, the sum over the images seen wanders about its expectation as a Brownian bridge, from 0 at no image back
to 0 at the last (Rosén, Arkiv för Matematik 1964). Simulated are all looks of all contestants
together, so that looking repeatedly (Armitage, McPherson and Rowe, JRSS A 1969) and comparing with many cost
what they must, and no more.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_SUBJECTS = 200_000
"""Simulated contestants: the quantile is then known to about 0.01."""

_LEAST_RACES = 40
_AT_ONCE = 500_000


@lru_cache(maxsize=256)
def critical_value(error: float, keep: int, others: int, looks: tuple[int, ...], images: int) -> float:
    """Return the standard errors by which one must beat another to count as better.

    With it, a contestant that equals all of ``others`` on the whole split is beaten by at least ``keep`` of them, at
    any look, with probability ``error``; and by one that it equals, both far from all others, as seldom.

    Args:
        error: The probability.
        keep: How many must beat it.
        others: With whom it is compared.
        looks: Images seen at each, increasing, each below ``images``.
        images: In the whole split.

    >>> round(critical_value(0.05, 1, 1, (1,), 1_000_000), 1)  # one look: the normal quantile
    1.6
    """
    if (keep, others) == (1, 1):
        return _simulated(error, 1, 1, looks, images)
    among_all = _simulated(error, keep, others, looks, images) if keep <= others else 0.0
    return max(among_all, critical_value(error, 1, 1, looks, images))


def _simulated(error: float, keep: int, others: int, looks: tuple[int, ...], images: int) -> float:
    rng, size = np.random.default_rng(0), (others + 1) * len(looks)
    races = max(_LEAST_RACES, _SUBJECTS // (others + 1))
    parts = -(-races * size // _AT_ONCE)
    shares = np.array(looks) / images
    behind = [_farthest_behind(_bridges(rng, -(-races // parts), others + 1, shares), keep) for _ in range(parts)]
    return float(np.quantile(np.concatenate(behind), 1 - error))


def _bridges(
    rng: np.random.Generator, races: int, contestants: int, shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return bridges in standard deviations, ``(races, contestants, looks)``."""
    times = np.append(shares, 1.0)
    steps = rng.standard_normal((races, contestants, len(times))) * np.sqrt(np.diff(times, prepend=0.0))
    walk = steps.cumsum(axis=2)
    bridge: NDArray[np.float64] = walk[..., :-1] - walk[..., -1:] * shares
    return bridge / np.sqrt(shares * (1 - shares))


def _farthest_behind(scores: NDArray[np.float64], keep: int) -> NDArray[np.float64]:
    """Return by how much each contestant was behind its ``keep``-th best opponent at its worst look."""
    ordered = -np.partition(-scores, (keep - 1, keep), axis=1)
    last_in, first_out = ordered[:, keep - 1, None], ordered[:, keep, None]
    opponent = np.where(scores >= last_in, first_out, last_in)  # one of the best has one opponent fewer above
    behind: NDArray[np.float64] = ((opponent - scores) / np.sqrt(2)).max(axis=2)
    return behind.ravel()
