"""Analysis of a comparison's tables, from tests to conclusion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasformer.compare.comparison import Comparison, TaskRecord
from nasformer.errors import NasformerError
from nasformer.report.statistics.across import Across, compare_tasks
from nasformer.report.statistics.curves import Curve, Front, curves, fronts, regret_curves
from nasformer.report.statistics.pairs import NOT_SHOWN, UNTESTED, Pair, Power, compare_pairs, power
from nasformer.report.statistics.runs import Floats, Runs, read_runs
from nasformer.report.statistics.standings import Standing, choose_target, standings
from nasformer.report.statistics.validity import Caution, Check, checklist, comparison_cautions, task_cautions
from nasformer.report.words import say

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class TaskAnalysis:
    """The analysis of one task."""

    record: TaskRecord
    curves: Mapping[str, Curve]  # by label: the true value (told if unknown) of the incumbent
    regret_curves: Mapping[str, Curve]  # empty if the optimum is unknown
    values: Mapping[str, Floats]  # by label: of each run's winner, (seeds,); NaN where missing
    ranking: tuple[Standing, ...]  # best first
    target: float  # of "evaluations to target"
    target_rule: str  # its origin, in words
    pairs: tuple[Pair, ...]
    power: Power
    fronts: Mapping[str, Front]  # by label; empty if not requested
    knows_true: bool  # whether curves are of values without noise
    resolution: float  # smallest difference of values above rounding error
    warnings: tuple[Caution, ...]

    def pair(self, a: str, b: str) -> Pair:
        """Return the comparison of ``a`` with ``b``."""
        for pair in self.pairs:
            if {pair.a, pair.b} == {a, b}:
                return pair if pair.a == a else pair.mirrored()
        raise KeyError((a, b))

    def finals(self, cells: pd.DataFrame) -> tuple[pd.DataFrame, str]:
        """Return the task's cells of a comparison, and the column of their final values: without noise if known."""
        mine = cells[cells.task == self.record.name]
        return mine, "true" if self.knows_true and mine["true"].notna().all() else "confirmed"

    @property
    def of_best(self) -> list[Pair]:
        """The comparisons of the first in the ranking with each other, in its order."""
        best, *others = (standing.label for standing in self.ranking)
        return [self.pair(best, other) for other in others]

    @property
    def equals(self) -> list[str]:
        """The strategies whose median is that of the first in the ranking."""
        best, *others = self.ranking
        return [each.label for each in others if abs(each.median - best.median) <= self.resolution]


@dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of a comparison."""

    tasks: tuple[TaskAnalysis, ...]  # with complete runs, in the order of the comparison
    across: Across | None  # None with fewer than two tasks
    warnings: tuple[Caution, ...]
    checklist: tuple[Check, ...]
    level: float  # significance level of the tests; intervals have 1 minus it
    held_out: Across | None = None  # the same over the held-out tasks, if there are others too

    @property
    def summary(self) -> list[str]:
        """Findings, a sentence each, the conclusion first; they claim no more than was tested."""
        compared = [task for task in self.tasks if len(task.ranking) > 1]
        if not compared:
            return [say("nothing_compared", tasks=self.tasks)]
        over = [] if self.across is None else [say("over_tasks", across=self.across)]
        over += [] if self.held_out is None else [say("over_held_out", across=self.held_out)]
        open_ended = any(pair.verdict in (NOT_SHOWN, UNTESTED) for task in compared for pair in task.pairs)
        found = [say("on_task", task=task, level=self.level) for task in compared]
        return [*over, *found, *([say("may_differ")] if open_ended else [])]


def analyse(
    comparison: Comparison, *, level: float = 0.05, resamples: int = 2000, seed: int = 0, front: str | None = None
) -> Analysis:
    """Analyse a comparison.

    Args:
        comparison: The runs.
        level: Significance level of each family of tests: the pairs of a task, corrected jointly, and ranks over tasks.
        resamples: Resamples of the power statement.
        seed: Seed of the resampling; the tests are deterministic.
        front: A cost, such as ``params``, for Pareto fronts and hypervolumes; None: none.

    Raises:
        NasformerError: ``level`` is not between 0 and 1, ``resamples`` is not positive, or the trials lack the cost.
    """
    if not 0 < level < 1:
        raise NasformerError(f"level must be between 0 and 1, got {level}; 0.05 is usual", level)
    if resamples < 1:
        raise NasformerError(f"resamples must be 1 or more, got {resamples}; 2000 is usual", resamples)
    tasks = tuple(analyse_task(runs, level, resamples, seed, front) for runs in _runs(comparison))
    across = compare_tasks(tasks, comparison.labels, level)
    kept_back = [task for task in tasks if task.record.held_out]
    held_out = compare_tasks(kept_back, comparison.labels, level) if len(kept_back) < len(tasks) else None
    warnings = (*comparison_cautions(comparison), *(each for task in tasks for each in task.warnings))
    return Analysis(tasks, across, warnings, checklist(comparison, tasks), level, held_out)


def _runs(comparison: Comparison) -> Iterator[Runs]:
    trials = dict(iter(comparison.trials.groupby("task", sort=False, observed=True)))
    cells = dict(iter(comparison.cells.groupby("task", sort=False, observed=True)))
    for record in comparison.tasks:
        if record.name in cells:
            found = trials.get(record.name, comparison.trials.iloc[:0])
            yield read_runs(record, comparison.labels, comparison.seeds, found, cells[record.name])


def analyse_task(runs: Runs, level: float, resamples: int, seed: int, front: str | None = None) -> TaskAnalysis:
    """Analyse the runs of one task."""
    target = choose_target(runs)
    drawn = curves(runs)
    strength = power(runs, level, resamples, seed)
    return TaskAnalysis(
        record=runs.record,
        curves=drawn,
        regret_curves=regret_curves(drawn, runs.record.optimum),
        values=dict(zip(runs.labels, runs.final, strict=True)),
        ranking=standings(runs, target.value),
        target=target.value,
        target_rule=target.rule,
        pairs=compare_pairs(runs, level),
        power=strength,
        fronts={} if front is None else fronts(runs, front),
        knows_true=runs.knows_true,
        resolution=runs.resolution,
        warnings=tuple(task_cautions(runs, strength)),
    )
