"""Critical values of a race, simulated under the null hypothesis that all contestants are equal.

Under the null, the partial sum over images, minus its expectation, is a Brownian bridge: 0 before the first image
and after the last (Rosén, Arkiv för Matematik 1964). All looks of all contestants are simulated jointly,
so repeated looks (Armitage, McPherson and Rowe, JRSS A 1969) and multiple comparisons are corrected for
without a conservative bound.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_SUBJECTS = 200_000
"""Simulated contestants, for a quantile accurate to about 0.01."""

_LEAST_RACES = 40
_AT_ONCE = 500_000


@lru_cache(maxsize=256)
def critical_value(error: float, keep: int, others: int, looks: tuple[int, ...], images: int) -> float:
    """Return the lead, in standard errors, that makes one contestant count as better than another.

    A contestant equal to all ``others`` on the whole split is then beaten by at least ``keep`` of them, at
    any look, with probability ``error``; and one equal to a single other, both far from the rest, is beaten
    by it as rarely.

    Args:
        error: The error probability.
        keep: Number of others that must beat it.
        others: Number of other contestants.
        looks: Images evaluated at each look, increasing, each below ``images``.
        images: Images of the whole split.

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
    """Return standardised bridges ``(races, contestants, looks)``."""
    times = np.append(shares, 1.0)
    steps = rng.standard_normal((races, contestants, len(times))) * np.sqrt(np.diff(times, prepend=0.0))
    walk = steps.cumsum(axis=2)
    bridge: NDArray[np.float64] = walk[..., :-1] - walk[..., -1:] * shares
    return bridge / np.sqrt(shares * (1 - shares))


def _farthest_behind(scores: NDArray[np.float64], keep: int) -> NDArray[np.float64]:
    """Return each contestant's largest deficit to its ``keep``-th best opponent over all looks."""
    ordered = -np.partition(-scores, (keep - 1, keep), axis=1)
    last_in, first_out = ordered[:, keep - 1, None], ordered[:, keep, None]
    opponent = np.where(scores >= last_in, first_out, last_in)  # the top ``keep`` do not oppose themselves
    behind: NDArray[np.float64] = ((opponent - scores) / np.sqrt(2)).max(axis=2)
    return behind.ravel()
