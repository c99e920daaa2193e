"""Analysis of a comparison's tables, from tests to conclusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nasformer.compare.comparison import Comparison
from nasformer.errors import NasformerError
from nasformer.report.statistics.across import Across, compare_tasks
from nasformer.report.statistics.cautions import Caution, comparison_cautions
from nasformer.report.statistics.checklist import Check, checklist
from nasformer.report.statistics.pairs import NOT_SHOWN, UNTESTED
from nasformer.report.statistics.runs import Runs, read_runs
from nasformer.report.statistics.task import TaskAnalysis, analyse_task
from nasformer.report.words import say


@dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of a comparison.

    Args:
        tasks: Analysis of each task with complete runs, in the order of the comparison.
        across: Analysis over all tasks; None with fewer than two.
        held_out: The same over the held-out tasks, if there are others too.
        warnings: Threats to validity.
        checklist: The checklist of docs/comparing.md, answered from the comparison.
        level: Significance level of the tests; intervals have 1 minus it.
    """

    tasks: tuple[TaskAnalysis, ...]
    across: Across | None
    warnings: tuple[Caution, ...]
    checklist: tuple[Check, ...]
    level: float
    held_out: Across | None = None

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
