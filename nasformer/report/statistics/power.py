"""Power: the detectable difference, so that "not significant" is not read as "equal".

The signed-rank statistic is the number of positive Walsh averages (means of two differences, each with itself
too; Tukey, 1949). Adding d to every difference therefore makes a sample significant exactly when d exceeds minus
the c-th largest average, with c the critical value: one number per simulated sample, whose 80 % quantile
is the difference detected with 80 % power. No search over d is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nasformer.report.statistics.pairs import differences, fewest_seeds
from nasformer.report.statistics.runs import Floats, Runs

PROBABILITY = 0.8


@dataclass(frozen=True)
class Power:
    """The power of a task's tests.

    Args:
        difference: Detectable paired difference (with power ``probability``): the median over pairs; None
            if no pair can be tested or none varies.
        probability: The power.
        level: Significance level of the tests.
        pairs: Divisor of the level, for the strictest step of Holm's correction.
        seeds: Smallest number of common seeds of a pair.
        fewest: Number of seeds needed for significance among so many pairs.
        resamples: Simulated samples of each pair.
    """

    difference: float | None
    probability: float
    level: float
    pairs: int
    seeds: int
    fewest: int
    resamples: int


def power(runs: Runs, level: float, resamples: int, seed: int) -> Power:
    """Return the power of the runs' number of seeds."""
    samples = [differences(runs, a, b) for a, b in combinations(range(len(runs.labels)), 2)]
    count, seeds = max(1, len(samples)), min(map(len, samples), default=0)
    found = [detectable(values, level / count, resamples, seed) for values in samples]
    known = [difference for difference in found if difference is not None]
    typical = float(np.median(known)) if known else None
    return Power(typical, PROBABILITY, level, count, seeds, fewest_seeds(level, count), resamples)


def detectable(values: Floats, level: float, resamples: int, seed: int) -> float | None:
    """Return the shift that a signed-rank test at ``level`` detects with 80 % power, given differences (n,).

    Samples are drawn with replacement from the centred differences, with random signs and the variance inflated by
    n / (n - 1). None if n is too small for significance, or nothing varies.
    """
    n = len(values)
    if n < fewest_seeds(level) or np.ptp(values) == 0:
        return None
    around = (values - np.median(values)) * np.sqrt(n / (n - 1))
    chance = np.random.default_rng(seed)
    samples = around[chance.integers(n, size=(resamples, n))] * chance.choice((-1.0, 1.0), size=(resamples, n))
    first, second = np.triu_indices(n)
    place = len(first) - critical_value(n, level)
    averages = (samples[:, first] + samples[:, second]) / 2
    needed = -np.partition(averages, place, axis=-1)[:, place]
    return float(np.quantile(needed, PROBABILITY))


def critical_value(n: int, level: float) -> int:
    """Return the smallest significant sum of positive ranks, two-sided, for n differences without ties.

    >>> critical_value(6, 0.05), critical_value(20, 0.05)
    (21, 158)
    """
    chances = np.ones(1)
    for rank in range(1, n + 1):  # the generating function of the null distribution, (1 + x^rank) / 2 for each rank
        chances = np.convolve(chances, np.r_[0.5, np.zeros(rank - 1), 0.5])
    tails = np.cumsum(chances[::-1])[::-1]
    return int(np.argmax(tails <= level / 2 * (1 + 1e-9)))
