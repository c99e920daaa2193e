"""Pairwise comparison of strategies on one task, paired by seed.

The test is Wilcoxon's signed-rank test of the paired differences with Holm's correction for the number of pairs;
the effect size is Vargha and Delaney's A12, the probability that a run of the first beats a run of the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from nasformer.report.statistics.runs import Floats, Runs

BETTER, WORSE, NOT_SHOWN = "better", "worse", "no difference shown"
IDENTICAL, UNTESTED = "identical", "untested"
_ENUMERATED = 13  # up to so many tied differences all 2**n signs are enumerated, as in SciPy


@dataclass(frozen=True)
class Pair:
    """One strategy against another on one task.

    Args:
        a: The first.
        b: The second.
        n: Common seeds with final values.
        identical: Whether both evaluated the same architectures in the same order with each of these seeds.
        p: Two-sided p-value; None if untested.
        p_holm: p-value corrected for all tested pairs of the task.
        effect_a12: Fraction of (run of a, run of b) in which a's is higher, ties counted half; None without seeds.
        median_difference: Median over seeds of a minus b.
        interval: Exact interval of that median, at the level of the analysis, uncorrected; None if there are too
            few seeds.
        verdict: Of ``a``: ``better``, ``worse``, ``no difference shown``, ``identical``, or ``untested`` if
            there are too few seeds for significance.
        wins: Seeds where a is higher.
        ties: Seeds where both are equal.
        losses: Seeds where b is higher.
    """

    a: str
    b: str
    n: int
    identical: bool
    p: float | None
    p_holm: float | None
    effect_a12: float | None
    median_difference: float | None
    interval: tuple[float, float] | None
    verdict: str
    wins: int
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
    from statsmodels.stats.multitest import multipletests

    raw = [pair.p for pair in pairs if pair.p is not None]
    adjusted = iter(multipletests(raw, alpha=level, method="holm")[1]) if raw else iter(())
    return [
        replace(pair, verdict=UNTESTED) if pair.p is None else _decided(pair, float(next(adjusted)), level)
        for pair in pairs
    ]


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
