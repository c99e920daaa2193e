"""Checklist of docs/comparing.md, answered from the comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nasformer.compare.comparison import Comparison
from nasformer.report.notation import counted, grouped, listed
from nasformer.report.statistics.pairs import UNTESTED
from nasformer.report.statistics.task import TaskAnalysis

_PROXIES = {"inherited", "surrogate", "training-free"}  # fitnesses that approximate retraining


@dataclass(frozen=True)
class Check:
    """One item of the checklist.

    Args:
        name: The item, as in docs/comparing.md.
        answer: ``yes``, ``no``, ``partly``, or ``unknown`` if the comparison cannot tell.
        detail: Reason, in a sentence.
    """

    name: str
    answer: str
    detail: str


def checklist(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> tuple[Check, ...]:
    """Return every item with its answer."""
    return tuple(answer for part in (_design, _values, _analysis, _account) for answer in part(comparison, tasks))


def _design(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> Iterator[Check]:
    yield Check(
        "Same space and budget for all", "yes", "All strategies of a task have the same space and feasible set."
    )
    medians = comparison.cells.groupby(["task", "strategy"], observed=True)["evaluations"].median()
    unequal = [str(name) for name, found in medians.groupby("task") if found.nunique() > 1]
    detail = f"They differ on {listed(unequal)}." if unequal else "Equal medians of distinct evaluations on every task."
    yield Check("Same number of evaluations for all", _answer(len(unequal), len(tasks)), detail)
    missing = comparison.missing
    detail = f"{grouped(missing)} runs are missing." if missing else "Every strategy ran every seed of every task."
    yield Check("Every run complete, paired by seed", "partly" if missing else "yes", detail)
    short = [task.record.name for task in tasks if task.power.seeds < task.power.fewest]
    fewest = max((task.power.fewest for task in tasks), default=0)
    detail = f"{counted(len(comparison.seeds), 'seed')}; tests need at least {fewest} to be significant."
    yield Check("Enough seeds for a test", _answer(len(short), len(tasks)), detail)
    drawn = [entrant.label for entrant in comparison.entrants if entrant.strategy == "random"]
    detail = f"As {listed(drawn)}." if drawn else "Without it the gain over random search is unknown."
    yield Check("Random search included", "yes" if drawn else "no", detail)
    detail = "One task cannot show that a ranking generalises." if len(tasks) < 2 else _count_tasks(tasks)
    yield Check("More than one task", "yes" if len(tasks) > 1 else "no", detail)
    given = [entrant.label for entrant in comparison.entrants if entrant.options]
    detail = (
        f"Options were set for {listed(given)}; how they were tuned is not recorded."
        if given
        else ("All strategies ran with defaults; how those were tuned is not recorded.")
    )
    yield Check("Options tuned with equal effort", "unknown", detail)


def _values(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> Iterator[Check]:
    cells = comparison.cells
    noisy = {task.record.name for task in tasks if task.record.noise > 0}
    kept = cells[cells["task"].isin(noisy) & (cells["confirmed"] == cells["observed"])]
    detail = (
        f"{grouped(len(kept))} winners keep the noisy value that selected them."
        if len(kept)
        else ("The tests use confirmed values, or true ones if known.")
    )
    yield Check("Winners re-evaluated after the selection", "partly" if len(kept) else "yes", detail)
    tested = cells.groupby("task", observed=True)["test"].agg(lambda values: bool(values.notna().all()))
    without = [str(name) for name, known in tested.items() if not known]
    detail = f"No test values on {listed(without)}." if without else "Test values influenced no selection."
    yield Check("Winners evaluated on held-out test data", _answer(len(without), len(tasks)), detail)
    unknown = [task.record.name for task in tasks if task.record.optimum is None]
    detail = f"Unknown on {listed(unknown)}: no regret there." if unknown else "True regret on every task."
    yield Check("Optimum known", _answer(len(unknown), len(tasks)), detail)


def _analysis(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> Iterator[Check]:
    pairs = [pair for task in tasks for pair in task.pairs]
    untested = sum(pair.verdict == UNTESTED for pair in pairs)
    detail = f"{grouped(len(pairs) - untested)} of {grouped(len(pairs))} pairs: signed-rank tests, Holm's correction."
    answer = _answer(untested, len(pairs)) if pairs else "no"
    yield Check("Differences tested, with correction for multiple comparisons", answer, detail)
    detail = "Anytime curves with quartiles over seeds, and evaluations to target."
    yield Check("Anytime performance reported", "yes" if tasks else "no", detail)
    easy = [task.record.name for task in tasks if len({s.median for s in task.ranking}) < 2 and len(task.ranking) > 1]
    detail = f"All medians are equal on {listed(easy)}." if easy else "Medians differ on every task."
    yield Check("Tasks distinguish the strategies", _answer(len(easy), len(tasks)), detail)


def _account(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> Iterator[Check]:
    timed = bool(len(comparison.cells)) and bool(comparison.cells["strategy_seconds"].notna().all())
    detail = "Time in the strategy and in the evaluation, by strategy." if timed else "Some runs have no times."
    yield Check("Overhead of the strategies reported", "yes" if timed else "partly", detail)
    parts = {"command": comparison.command, "versions": comparison.versions, "machine": comparison.machine}
    absent = [name for name, found in parts.items() if not found]
    detail = f"Not recorded: {listed(absent)}." if absent else "Command, versions, seeds and machine are reported."
    yield Check("Reproducible from the report", _answer(len(absent), len(parts)), detail)
    outside = [entrant.label for entrant in comparison.entrants if ":" in entrant.strategy]
    kinds = sorted({str(task.record.fitness.get("kind", "unnamed")) for task in tasks})
    answer = "no" if kinds and set(kinds) <= _PROXIES else "unknown"
    detail = f"Values are of kind {listed(kinds)}; retraining may rank differently." if kinds else ""
    yield Check("Values measured by retraining", answer, detail)
    detail = f"{listed(outside)}: third-party code." if outside else "All strategies are nasformer's own."
    yield Check("Code of all strategies available", "unknown" if outside else "yes", detail)


def _answer(lacking: int, whole: int) -> str:
    return "yes" if not lacking else "no" if lacking >= whole else "partly"


def _count_tasks(tasks: Sequence[TaskAnalysis]) -> str:
    return f"{counted(len(tasks), 'task').capitalize()}."
