"""Pairwise comparison of strategies on one task, paired by seed.

The test is Wilcoxon's signed-rank test of the paired differences with Holm's correction for the number of pairs;
the effect size is Vargha and Delaney's A12, the probability that a run of the first beats a run of the second.

Power is told by the detectable difference, so that "not significant" is not read as "equal". The signed-rank statistic
is the number of positive Walsh averages (means of two differences, each with itself too; Tukey, 1949). Adding d to
every difference therefore makes a sample significant exactly when d exceeds minus the c-th largest average, with c the
critical value: one number per simulated sample, whose 80 % quantile is the difference detected with 80 % power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from nasformer.report.statistics.runs import Floats, Runs

BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"
IDENTICAL, UNTESTED = "identical", "untested"
PROBABILITY = 0.8
_ENUMERATED = 13  # up to so many tied differences all 2**n signs are enumerated, as in SciPy


@dataclass(frozen=True)
class Pair:
    """One strategy against another on one task."""

    a: str
    b: str
    n: int  # common seeds with final values
    identical: bool  # whether both evaluated the same architectures in the same order with each of these seeds
    p: float | None  # two-sided; None if untested
    p_holm: float | None  # corrected for all tested pairs of the task
    effect_a12: float | None  # fraction of (run of a, run of b) in which a's is higher, ties counted half
    median_difference: float | None  # over seeds, a minus b
    interval: tuple[float, float] | None  # exact, of that median, uncorrected; None with too few seeds
    verdict: str  # of a: better, worse, no difference shown, identical; untested with too few seeds for significance
    wins: int  # seeds where a is higher
    ties: int
    losses: int

    def mirrored(self) -> Pair:
        """Return the comparison with a and b swapped."""
        return replace(
            self,
            a=self.b,
            b=self.a,
            effect_a12=None if self.effect_a12 is None else 1 - self.effect_a12,
            median_difference=None if self.median_difference is None else -self.median_difference,
            interval=None if self.interval is None else (-self.interval[1], -self.interval[0]),
            verdict={BETTER: WORSE, WORSE: BETTER}.get(self.verdict, self.verdict),
            wins=self.losses,
            losses=self.wins,
        )


def fewest_seeds(level: float, pairs: int = 1) -> int:
    """Return the number of seeds from which a two-sided signed-rank test can reach ``level / pairs``.

    >>> fewest_seeds(0.05), fewest_seeds(0.05, 66)
    (6, 12)
    """
    seeds = 1
    while 2.0 ** (1 - seeds) > level / pairs:
        seeds += 1
    return seeds


def compare_pairs(runs: Runs, level: float) -> tuple[Pair, ...]:
    """Return all pairs in the order of the labels, corrected together."""
    found = [_pair(runs, first, second, level) for first, second in combinations(range(len(runs.labels)), 2)]
    return tuple(_corrected(found, level))


def differences(runs: Runs, first: int, second: int) -> Floats:
    """Return final values of the first minus the second over common seeds, (n,)."""
    values = runs.final[first] - runs.final[second]
    return runs.rounded(values[~np.isnan(values)])


def signed_rank_p(values: Floats) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test; zero differences are dropped.

    Ties are common for accuracies on few images. SciPy then enumerates all signs of up to 13 differences; so
    does this, vectorised.

    >>> round(signed_rank_p(np.array([1.0, 2.0, 2.0, 3.0, 5.0, 6.0])), 5)
    0.03125
    """
    from scipy.stats import permutation_test, rankdata, wilcoxon

    nonzero = values[values != 0]
    if not nonzero.size:
        return 1.0
    ranks = rankdata(np.abs(nonzero))
    if len(np.unique(ranks)) == len(ranks) or len(ranks) > _ENUMERATED:
        return float(wilcoxon(nonzero).pvalue)
    signed = np.sign(nonzero) * ranks
    found = permutation_test((signed,), np.sum, permutation_type="samples", vectorized=True, n_resamples=2**_ENUMERATED)
    return float(found.pvalue)


def _pair(runs: Runs, first: int, second: int, level: float) -> Pair:
    values, identical = differences(runs, first, second), runs.same(first, second)
    tested = len(values) >= fewest_seeds(level) or (identical and len(values) > 0)
    p = signed_rank_p(values) if tested else None
    return Pair(
        a=runs.labels[first],
        b=runs.labels[second],
        n=len(values),
        identical=identical,
        p=p,
        p_holm=None,
        effect_a12=_effect(runs, first, second) if len(values) else None,
        median_difference=float(np.median(values)) if len(values) else None,
        interval=_median_interval(values, level),
        verdict=_verdict(values, identical),
        wins=int((values > 0).sum()),
        ties=int((values == 0).sum()),
        losses=int((values < 0).sum()),
    )


def _verdict(values: Floats, identical: bool) -> str:
    """Return the direction of the rank sum; the corrected p-value decides later whether it is significant."""
    from scipy.stats import rankdata

    if identical:
        return IDENTICAL
    lean = float(np.sum(np.sign(values) * rankdata(np.abs(values)))) if len(values) else 0.0
    return BETTER if lean > 0 else WORSE if lean < 0 else NOT_SHOWN


def _corrected(pairs: Sequence[Pair], level: float) -> list[Pair]:
    adjusted = iter(holm(np.array([pair.p for pair in pairs if pair.p is not None], dtype=float)))
    return [
        replace(pair, verdict=UNTESTED) if pair.p is None else _decided(pair, float(next(adjusted)), level)
        for pair in pairs
    ]


def holm(p: Floats) -> Floats:
    """Return p-values ``(n,)`` corrected by Holm's step-down method (Scand. J. Stat. 6, 1979).

    That of statsmodels collects all garbage at each call, which is slow in a large process.
    """
    order = np.argsort(p)
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order]).clip(max=1)
    return corrected


def _decided(pair: Pair, p_holm: float, level: float) -> Pair:
    shown = pair.identical or p_holm <= level
    return replace(pair, p_holm=p_holm, verdict=pair.verdict if shown else NOT_SHOWN)


def _effect(runs: Runs, first: int, second: int) -> float:
    from scipy.stats import mannwhitneyu

    both = ~np.isnan(runs.final[first] - runs.final[second])
    ours, theirs = runs.rounded(runs.final[first, both]), runs.rounded(runs.final[second, both])
    return float(mannwhitneyu(ours, theirs, method="asymptotic").statistic) / (len(ours) * len(theirs))


def _median_interval(values: Floats, level: float) -> tuple[float, float] | None:
    from scipy.stats import quantile_test

    if not len(values):
        return None
    ends = quantile_test(values, q=0, p=0.5).confidence_interval(1 - level)
    return (float(ends.low), float(ends.high)) if np.isfinite([ends.low, ends.high]).all() else None


@dataclass(frozen=True)
class Power:
    """The power of a task's tests."""

    difference: (
        float | None
    )  # detectable paired difference, the median over pairs; None if none can be tested or varies
    probability: float
    level: float
    pairs: int  # divisor of the level, for the strictest step of Holm's correction
    seeds: int  # smallest number of common seeds of a pair
    fewest: int  # seeds needed for significance among so many pairs
    resamples: int  # simulated samples of each pair


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
