"""Comparison of strategies over tasks (Demšar, JMLR 2006).

Friedman's test checks whether any strategies differ; if so, Nemenyi's post-hoc test says which. Both use one number
per task, the median over seeds: the sample consists of tasks, not seeds. Tasks that read the same values, such as
several budgets of one table, are not independent: they count as one, ranked by the average of their ranks.
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
    statistic: float | None  # Friedman's; None if not applicable
    p: float | None
    critical_difference: float | None  # smallest significant difference of average ranks (Nemenyi)
    p_values: Mapping[str, Mapping[str, float]]  # Nemenyi's, by pair of labels
    tallies: Mapping[str, Mapping[str, Tally]]  # verdicts over all tasks by pair of labels
    level: float
    absent: tuple[str, ...]  # labels that are not ranked, as missing on some tasks

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
    of_tasks = [_rank([medians[number][label] / tasks[number].resolution for label in labels]) for number in whole]
    table = _by_source(of_tasks, [tasks[number].record.source or tasks[number].record.name for number in whole])
    average = table.mean(axis=0) if len(table) else np.empty(0)
    ranks = {labels[place]: float(average[place]) for place in np.argsort(average, kind="stable")}
    statistic, p = _friedman(table)
    parts: tuple[float | None, Mapping[str, Mapping[str, float]]] = (None, {})
    if p is not None:
        parts = _critical_difference(len(labels), len(table), level), _nemenyi(table, labels)
    absent = tuple(label for label in everyone if label not in labels)
    return Across(names, len(table), ranks, statistic, p, *parts, _tallies(tasks, everyone), level, absent)


def fewest_tasks(strategies: int, level: float) -> int:
    """Return the number of tasks from which Friedman's test can be significant, if all rank alike.

    >>> fewest_tasks(3, 0.05), fewest_tasks(12, 0.05)
    (3, 2)
    """
    from scipy.stats import chi2

    return math.ceil(float(chi2.isf(level, strategies - 1)) / (strategies - 1)) if strategies > 1 else 0


def _rank(medians: Sequence[float]) -> Floats:
    """Return the rank of each strategy on a task, given medians in units of their resolution; the highest is 1."""
    from scipy.stats import rankdata

    ranks: Floats = rankdata(-np.round(medians))
    return ranks


def _by_source(ranks: Sequence[Floats], sources: Sequence[str]) -> Floats:
    """Return the ranks by source, ``(sources, strategies)``, of tasks ranked by the average of their ranks.

    >>> _by_source([np.array([1.0, 2, 3]), np.array([1.0, 3, 2]), np.array([2.0, 1, 3])], ["a", "a", "b"])
    array([[1. , 2.5, 2.5],
           [2. , 1. , 3. ]])
    """
    groups = [
        [own for own, each in zip(ranks, sources, strict=True) if each == name] for name in dict.fromkeys(sources)
    ]
    return np.array([_rank(-1e6 * np.mean(group, axis=0)) for group in groups])


def _friedman(table: Floats) -> tuple[float | None, float | None]:
    from scipy.stats import friedmanchisquare

    if table.ndim < 2 or table.shape[0] < 2 or table.shape[1] < 3 or not np.ptp(table, axis=1).any():
        return None, None
    found = friedmanchisquare(*table.T)
    return float(found.statistic), float(found.pvalue)


def _nemenyi(table: Floats, labels: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
    from scikit_posthocs import posthoc_nemenyi_friedman

    found = posthoc_nemenyi_friedman(table).to_numpy()
    return {a: {b: float(found[i, j]) for j, b in enumerate(labels)} for i, a in enumerate(labels)}


def _critical_difference(strategies: int, tasks: int, level: float) -> float:
    """Return q / sqrt(2) · sqrt(k (k + 1) / (6 N)) (Demšar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - level, strategies, np.inf))
    return quantile * math.sqrt(strategies * (strategies + 1) / (12 * tasks))


def _tallies(tasks: Sequence[TaskAnalysis], labels: Sequence[str]) -> Mapping[str, Mapping[str, Tally]]:
    verdicts: dict[tuple[str, str], list[str]] = {(a, b): [] for a in labels for b in labels if a != b}
    for pair in (pair for task in tasks for pair in task.pairs):
        verdicts[pair.a, pair.b].append(pair.verdict)
        verdicts[pair.b, pair.a].append(pair.mirrored().verdict)
    return {a: {b: _tally(verdicts[a, b]) for b in labels if a != b} for a in labels}


def _tally(verdicts: Sequence[str]) -> Tally:
    wins, losses, untested = (verdicts.count(verdict) for verdict in (BETTER, WORSE, UNTESTED))
    return Tally(wins, len(verdicts) - wins - losses - untested, losses, untested)
