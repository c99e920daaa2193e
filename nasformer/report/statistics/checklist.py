"""Checklist of docs/comparing.md, answered from the comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nasformer.compare.comparison import Comparison
from nasformer.report.statistics.pairs import UNTESTED
from nasformer.report.statistics.task import TaskAnalysis
from nasformer.report.words import say

_PROXIES = {"inherited", "surrogate", "training-free"}  # fitnesses that approximate retraining


@dataclass(frozen=True)
class Check:
    """One item of the checklist.

    Args:
        name: The item, as in docs/comparing.md.
        answer: ``yes``, ``no``, ``partly``, or ``unknown`` if the comparison cannot tell.
        names: Tasks, strategies or parts that the answer is about.
        count: Figure that the answer is about.
    """

    name: str
    answer: str
    names: Sequence[str] = ()
    count: Any = 0

    @property
    def detail(self) -> str:
        """Reason, in a sentence."""
        return say("check", name=self.name, answer=self.answer, names=list(self.names), count=self.count)


def checklist(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> tuple[Check, ...]:
    """Return every item with its answer."""
    return tuple(Check(*each) for part in (_design, _values, _account) for each in part(comparison, tasks))


def _design(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> Iterator[tuple[Any, ...]]:
    yield "Same space and budget for all", "yes"
    medians = comparison.cells.groupby(["task", "strategy"], observed=True)["evaluations"].median()
    unequal = [str(name) for name, found in medians.groupby("task") if found.nunique() > 1]
    yield "Same number of evaluations for all", _answer(len(unequal), len(tasks)), unequal
    missing, powers = comparison.missing, [task.power for task in tasks]
    yield "Every run complete, paired by seed", "partly" if missing else "yes", (), missing
    short, fewest = sum(power.seeds < power.fewest for power in powers), max((p.fewest for p in powers), default=0)
    yield "Enough seeds for a test", _answer(short, len(tasks)), comparison.seeds, fewest
    drawn = [entrant.label for entrant in comparison.entrants if entrant.strategy == "random"]
    yield "Random search included", "yes" if drawn else "no", drawn
    yield "More than one task", "yes" if len(tasks) > 1 else "no", (), len(tasks)
    developed = [task.record.name for task in tasks if not task.record.held_out]
    yield "Tasks held out from development", _answer(len(developed), len(tasks)), developed
    given = [entrant.label for entrant in comparison.entrants if entrant.options]
    yield "Options tuned with equal effort", "unknown", given


def _values(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> Iterator[tuple[Any, ...]]:
    cells = comparison.cells
    noisy = {task.record.name for task in tasks if task.record.noise > 0}
    kept = int((cells["task"].isin(noisy) & (cells["confirmed"] == cells["observed"])).sum())
    yield "Winners re-evaluated after the selection", "partly" if kept else "yes", (), kept
    tested = cells.groupby("task", observed=True)["test"].agg(lambda values: bool(values.notna().all()))
    without = [str(name) for name, known in tested.items() if not known]
    yield "Winners evaluated on held-out test data", _answer(len(without), len(tasks)), without
    unknown = [task.record.name for task in tasks if task.record.optimum is None]
    yield "Optimum known", _answer(len(unknown), len(tasks)), unknown
    pairs = [pair for task in tasks for pair in task.pairs]
    untested = sum(pair.verdict == UNTESTED for pair in pairs)
    answer = _answer(untested, len(pairs)) if pairs else "no"
    counts = (len(pairs) - untested, len(pairs))
    yield "Differences tested, with correction for multiple comparisons", answer, (), counts
    yield "Anytime performance reported", "yes" if tasks else "no"
    additive = [task.record.name for task in tasks if task.record.nearly_additive]
    known = [task for task in tasks if task.record.nearly_additive is not None]
    answer = _answer(len(additive), len(tasks)) if known else "unknown"
    yield "Tasks that are not additive", answer, additive, len(tasks) - len(known)
    easy = [task.record.name for task in tasks if len({s.median for s in task.ranking}) < 2 and len(task.ranking) > 1]
    yield "Tasks distinguish the strategies", _answer(len(easy), len(tasks)), easy


def _account(comparison: Comparison, tasks: Sequence[TaskAnalysis]) -> Iterator[tuple[Any, ...]]:
    timed = bool(len(comparison.cells)) and bool(comparison.cells["strategy_seconds"].notna().all())
    yield "Overhead of the strategies reported", "yes" if timed else "partly"
    parts = {"command": comparison.command, "versions": comparison.versions, "machine": comparison.machine}
    absent = [name for name, found in parts.items() if not found]
    yield "Reproducible from the report", _answer(len(absent), len(parts)), absent
    kinds = sorted({str(task.record.fitness.get("kind", "unnamed")) for task in tasks})
    yield "Values measured by retraining", "no" if kinds and set(kinds) <= _PROXIES else "unknown", kinds
    outside = [entrant.label for entrant in comparison.entrants if ":" in entrant.strategy]
    yield "Code of all strategies available", "unknown" if outside else "yes", outside


def _answer(lacking: int, whole: int) -> str:
    return "yes" if not lacking else "no" if lacking >= whole else "partly"
