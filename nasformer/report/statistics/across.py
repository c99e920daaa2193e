"""Comparison of strategies over tasks (Demšar, JMLR 2006).

Friedman's test checks whether any strategies differ; if so, Nemenyi's post-hoc test says which. Both use one number
per task, the median over seeds: the sample consists of tasks, not seeds. Tasks that read the same values, such as
several budgets of one table, are not independent: they count as one, ranked by the average of their ranks. Nor are the
runs of one seed on several tables of one space, which draw the same architectures: the correlation of runs over tasks
divides the test's statistic and the number of tasks (a design effect).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nasformer.report.statistics.pairs import BETTER, UNTESTED, WORSE
from nasformer.report.statistics.runs import Floats
from nasformer.report.words import say

if TYPE_CHECKING:
    from nasformer.report.statistics.analysis import TaskAnalysis

_FEWEST = 3
"""Minimal number of strategies for Friedman's test."""


class Tally(NamedTuple):
    """Numbers of tasks where a strategy is better than another, not significantly different, worse, or untested."""

    wins: int
    ties: int
    losses: int
    untested: int = 0


@dataclass(frozen=True)
class Across:
    """Analysis over the tasks that have a final value of every ranked strategy.

    Ranked are those with one on every task, or all strategies if these are fewer than three.
    """

    tasks: tuple[str, ...]  # names of the ranked tasks
    sources: int  # tables, surrogates and supernets behind them: the size of the sample
    ranks: Mapping[str, float]  # average over sources by label, best (lowest) first; equals share a rank
    statistic: float | None  # Friedman's over the design effect; None if not applicable
    p: float | None
    critical_difference: float | None  # smallest significant difference of average ranks (Nemenyi)
    p_values: Mapping[str, Mapping[str, float]]  # Nemenyi's, by pair of labels
    tallies: Mapping[str, Mapping[str, Tally]]  # verdicts over all tasks by pair of labels
    level: float
    absent: tuple[str, ...]  # labels that are not ranked, as missing on some tasks
    design_effect: float = 1.0  # by which correlated runs reduce the number of sources

    @property
    def words(self) -> str:
        """Description of the test, or why there was none."""
        return say("ranks_over_tasks", across=self, fewest=fewest_tasks(len(self.ranks), self.level))

    @property
    def labels(self) -> list[str]:
        """All strategies, ranked ones first."""
        return list(dict.fromkeys([*self.ranks, *self.tallies]))

    @property
    def significant(self) -> bool:
        """Whether Friedman's test finds a difference."""
        return self.p is not None and self.p <= self.level

    @property
    def below(self) -> list[str]:
        """Labels ranked significantly below the best."""
        return [label for label in self.ranks if label not in [next(iter(self.ranks)), *self.level_with]]

    @property
    def level_with(self) -> list[str]:
        """Labels of other strategies that the best does not rank significantly above."""
        best, *others = self.ranks
        return [label for label in others if not self.significant or self.p_values[best][label] > self.level]


def compare_tasks(tasks: Sequence[TaskAnalysis], labels: Sequence[str], level: float) -> Across | None:
    """Return the analysis over tasks; None with fewer than two."""
    if len(tasks) < 2:
        return None
    medians = [{standing.label: standing.median for standing in task.ranking} for task in tasks]
    everywhere = [label for label in labels if all(label in found for found in medians)]
    everyone, labels = labels, everywhere if len(everywhere) >= _FEWEST else labels
    whole = [number for number, found in enumerate(medians) if set(labels) <= set(found)]
    names = tuple(tasks[number].record.name for number in whole)
    values = [np.array([tasks[n].values[label] for label in labels]) / tasks[n].resolution for n in whole]
    table, statistic, p, effect = rank_test(values, [tasks[n].record.source or tasks[n].record.name for n in whole])
    average = table.mean(axis=0) if len(table) else np.empty(0)
    ranks = {labels[place]: float(average[place]) for place in np.argsort(average, kind="stable")}
    parts: tuple[float | None, Mapping[str, Mapping[str, float]]] = (None, {})
    if p is not None:
        parts = _nemenyi(average, labels, len(table) / effect, level)
    absent = tuple(label for label in everyone if label not in labels)
    return Across(names, len(table), ranks, statistic, p, *parts, _tallies(tasks, everyone), level, absent, effect)


class RankTest(NamedTuple):
    """Friedman's test of final values."""

    table: Floats  # ranks by source, (sources, strategies)
    statistic: float | None  # over the design effect; None if not applicable
    p: float | None
    design_effect: float


def rank_test(values: Sequence[Floats], sources: Sequence[object]) -> RankTest:
    """Test whether the ranks of medians over seeds differ.

    Args:
        values: Final values of each task, ``(strategies, seeds)``, in units of its resolution; NaN where missing.
        sources: What each task's values are read from.
    """
    from scipy.stats import chi2

    table = _by_source([_rank(np.nanmedian(own, axis=1)) for own in values], sources)
    statistic = _friedman(table)
    if statistic is None:
        return RankTest(table, None, None, 1.0)
    effect = _design_effect(values, sources)
    return RankTest(table, statistic / effect, float(chi2.sf(statistic / effect, table.shape[1] - 1)), effect)


def fewest_tasks(strategies: int, level: float) -> int:
    """Return the number of tasks from which Friedman's test can be significant, if all rank alike.

    >>> fewest_tasks(3, 0.05), fewest_tasks(12, 0.05)
    (3, 2)
    """
    from scipy.stats import chi2

    return math.ceil(float(chi2.isf(level, strategies - 1)) / (strategies - 1)) if strategies > 1 else 0


def _rank(medians: Floats) -> Floats:
    """Return the rank of each strategy on a task, given medians in units of their resolution; the highest is 1."""
    from scipy.stats import rankdata

    ranks: Floats = rankdata(-np.round(medians))
    return ranks


def _by_source(ranks: Sequence[Floats], sources: Sequence[object]) -> Floats:
    """Return the ranks by source, ``(sources, strategies)``, of tasks ranked by the average of their ranks.

    >>> _by_source([np.array([1.0, 2, 3]), np.array([1.0, 3, 2]), np.array([2.0, 1, 3])], ["a", "a", "b"])
    array([[1. , 2.5, 2.5],
           [2. , 1. , 3. ]])
    """
    groups = [
        [own for own, each in zip(ranks, sources, strict=True) if each == name] for name in dict.fromkeys(sources)
    ]
    return np.array([_rank(-1e6 * np.mean(group, axis=0)) for group in groups])


def _friedman(table: Floats) -> float | None:
    from scipy.stats import friedmanchisquare

    if table.ndim < 2 or table.shape[0] < 2 or table.shape[1] < 3 or not np.ptp(table, axis=1).any():
        return None
    return float(friedmanchisquare(*table.T).statistic)


def _design_effect(values: Sequence[Floats], sources: Sequence[object]) -> float:
    """Return the factor by which correlated sources raise the variance of average ranks, 1 at least (Kish, 1965).

    It is the sum of the correlations of all sources over their number. They are rank correlations of the runs of seeds
    with a value of every strategy on every task, less the median of their strategy and what their seed is to all.
    """
    from scipy.stats import rankdata

    every = np.array(values)  # (tasks, strategies, seeds)
    whole = every[..., ~np.isnan(every).any(axis=(0, 1))]
    if not whole.size:
        return 1.0
    scatter = whole - np.median(whole, axis=2, keepdims=True)
    scatter -= scatter.mean(axis=1, keepdims=True)
    ranks = [rankdata(np.round(own)) for own in scatter]
    of_sources = [
        np.sum([own for own, each in zip(ranks, sources, strict=True) if each == name], axis=0)
        for name in dict.fromkeys(sources)
    ]
    varying = [own for own in of_sources if np.ptp(own) > 0]
    shared = np.corrcoef(varying).sum() - len(varying) if len(varying) > 1 else 0.0
    return max(1.0, 1.0 + float(shared) / len(of_sources))


def _nemenyi(
    ranks: Floats, labels: Sequence[str], sources: float, level: float
) -> tuple[float, Mapping[str, Mapping[str, float]]]:
    """Return the critical difference of average ranks, and the p-values of all differences.

    q / sqrt(2) · sqrt(k (k + 1) / (6 N)), with q a quantile of the studentised range (Demšar 2006, section 3.2.2).
    """
    from scipy.stats import studentized_range

    scale = math.sqrt(len(labels) * (len(labels) + 1) / (12 * sources))
    found = studentized_range.sf(np.abs(ranks[:, None] - ranks) / scale, len(labels), np.inf)
    p_values = {a: {b: float(found[i, j]) for j, b in enumerate(labels)} for i, a in enumerate(labels)}
    return scale * float(studentized_range.ppf(1 - level, len(labels), np.inf)), p_values


def _tallies(tasks: Sequence[TaskAnalysis], labels: Sequence[str]) -> Mapping[str, Mapping[str, Tally]]:
    verdicts: dict[tuple[str, str], list[str]] = {(a, b): [] for a in labels for b in labels if a != b}
    for pair in (pair for task in tasks for pair in task.pairs):
        verdicts[pair.a, pair.b].append(pair.verdict)
        verdicts[pair.b, pair.a].append(pair.mirrored().verdict)
    return {a: {b: _tally(verdicts[a, b]) for b in labels if a != b} for a in labels}


def _tally(verdicts: Sequence[str]) -> Tally:
    wins, losses, untested = (verdicts.count(verdict) for verdict in (BETTER, WORSE, UNTESTED))
    return Tally(wins, len(verdicts) - wins - losses - untested, losses, untested)
