"""Validity: warnings about threats to it, and the checklist of docs/how-to/compare.md.

Both are structured values, worded by ``words.j2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nasformer.compare.comparison import Comparison
from nasformer.report.statistics.pairs import UNTESTED, Power
from nasformer.report.statistics.runs import Runs, middle
from nasformer.report.words import say

if TYPE_CHECKING:
    from nasformer.report.statistics.analysis import TaskAnalysis

_PROXIES = {"inherited", "surrogate", "training-free"}  # fitnesses that approximate retraining
_CUT_SHORT = frozenset({"seconds", "paused", "no gain"})


@dataclass(frozen=True)
class Caution:
    """A threat to validity."""

    kind: str  # the name of a macro of words.j2, without "caution_"
    task: str = ""  # name of the task; empty: of the whole comparison
    values: Mapping[str, Any] = field(default_factory=dict)  # figures and strategies

    def __str__(self) -> str:
        return f"{self.task}{': ' if self.task else ''}{say(f'caution_{self.kind}', **self.values)}"


def comparison_cautions(comparison: Comparison) -> Iterator[Caution]:
    """Yield warnings about the whole comparison."""
    if comparison.missing:
        yield Caution(
            "missing", values={"count": comparison.missing, "whole": len(comparison.cells) + comparison.missing}
        )
    for each in comparison.left_out:
        values = {"strategy": each.strategy, "seed": each.seed, "reason": each.reason.rstrip(".")}
        yield Caution("left_out", each.task, values)
    if len(comparison.entrants) < 2:
        yield Caution("single")


def task_cautions(runs: Runs, power: Power) -> Iterator[Caution]:
    """Yield warnings about one task."""
    for kind, values in _cautions(runs, power):
        yield Caution(kind, runs.record.name, values)


def _cautions(runs: Runs, power: Power) -> Iterator[tuple[str, Mapping[str, Any]]]:
    labels, cells = runs.labels, runs.cells
    if len(labels) > 1 and power.seeds < power.fewest:
        yield "few_seeds", {"seeds": power.seeds, "pairs": power.pairs, "fewest": power.fewest}
    medians = {
        label: middle(cells["evaluations"][s]) for s, label in enumerate(labels) if runs.stopped[label] != {"exhausted"}
    }
    if len(set(medians.values())) > 1:
        yield "unequal", {"medians": medians}
    if cut := [label for label in labels if runs.stopped[label] & _CUT_SHORT]:
        yield "cut_short", {"names": cut}
    lost = (runs.complete & np.isnan(runs.final)).sum(axis=-1)
    if lost.any():
        yield "lost", {"names": [label for label, n in zip(labels, lost, strict=True) if n], "count": int(lost.sum())}
    if (kind := _alike_ends(runs)) and len(labels) > 1:
        yield kind, {}
    failed = np.nansum(cells["failed"], axis=-1)
    if failed.any():
        yield "failures", {"counts": {label: float(n) for label, n in zip(labels, failed, strict=True) if n}}
    if copied := [label for s, label in enumerate(labels) if runs.alike(s)]:
        yield "copies", {"names": copied}
    known = ~np.isnan(cells["confirmed"])
    kept = cells["confirmed"][known] == cells["observed"][known]
    if runs.record.noise > 0 and known.any() and kept.mean() > 0.5:
        yield "unconfirmed", {}


def _alike_ends(runs: Runs) -> str:
    """Return how the runs' final values fail to distinguish the strategies; empty: they do."""
    finals, optimum = runs.final[~np.isnan(runs.final)], runs.record.optimum
    optimal = np.zeros(1) if optimum is None else optimum - finals <= runs.resolution
    if finals.size and optimal.all():
        return "all_optimal"
    if finals.size and np.ptp(finals) <= runs.resolution:
        return "all_equal"
    return "mostly_optimal" if finals.size and optimal.mean() > 0.5 else ""


@dataclass(frozen=True)
class Check:
    """One item of the checklist."""

    name: str  # as in docs/how-to/compare.md
    answer: str  # yes, no, partly; unknown if the comparison cannot tell
    names: Sequence[str] = ()  # tasks, strategies or parts that the answer is about
    count: Any = 0  # the figure that it is about

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
