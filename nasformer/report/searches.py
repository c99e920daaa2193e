"""Searches: finished searches of one task, their tables, and the architectures that they confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, NamedTuple

from nasformer.architecture import Architecture
from nasformer.compare import Comparison, from_results
from nasformer.compare.comparison import VALUE
from nasformer.compare.results import strategy_labels
from nasformer.cost import Limits, within
from nasformer.report.notation import MISSING, compact, cost_name, grouped, shortened, worth
from nasformer.report.words import say
from nasformer.search.evaluation import Trial
from nasformer.search.result import SearchResult
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, task_of

_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Finalist:
    """A winner or its rival under a budget, trained and evaluated on the test split after the selection.

    Args:
        kind: Which, and how it was trained, such as ``"uniform ViT, trained alone"``; the first is of the winners.
        budget: Its budget, such as ``"params <= 8K"``.
        architecture: The architecture.
        params: Number of parameters.
        macs: Multiply-accumulate operations per example.
        inherited: The objective on the test split with inherited weights, such as accuracy in percent.
        trained: The objective on the test split after the training.
    """

    kind: str
    budget: str
    architecture: Architecture
    params: int
    macs: int
    inherited: float
    trained: float


class Confirmed(NamedTuple):
    """A confirmed architecture, and the run that found it."""

    label: str
    seed: int
    trial: Trial


@dataclass(frozen=True, eq=False)
class Searches:
    """Comparable results with their tables.

    Args:
        results: Results of one or more strategies and seeds.
        comparison: The same as tables.
    """

    results: Sequence[SearchResult]
    comparison: Comparison

    @cached_property
    def confirmed(self) -> list[Confirmed]:
        """All confirmed architectures, best first."""
        runs = zip(strategy_labels(self.results), self.results, strict=True)
        found = [Confirmed(label, run.seed, each) for label, run in runs for each in run.confirmed]
        return sorted((each for each in found if each.trial.value is not None), key=lambda each: each.trial.rank)

    @property
    def winner(self) -> Confirmed:
        """The confirmed winner over all runs."""
        return self.confirmed[0]

    @property
    def winners(self) -> list[Confirmed]:
        """The confirmed winner over all runs within each of several budgets, in their order."""
        return [next(each for each in self.confirmed if within(each.trial.costs, own)) for own in self.budgets]

    @property
    def tied(self) -> list[str]:
        """Other strategies with a winner of the same confirmed fitness."""
        best, winner = self.comparison.cells.groupby("strategy", sort=False)["confirmed"].max(), self.winner
        return [str(label) for label, value in best.items() if value == winner.trial.value and label != winner.label]

    @property
    def space(self) -> SearchSpace:
        """The space of all results."""
        return self.results[0].space

    @property
    def limits(self) -> Limits:
        """The limits of all results."""
        return self.results[0].limits

    @property
    def budgets(self) -> tuple[Limits, ...]:
        """The limits of each of several budgets; empty for one."""
        return self.results[0].budgets

    @property
    def metric(self) -> Metric | None:
        """The metric that the fitness is, up to its sign; None: unknown."""
        metric = self.comparison.tasks[0].metric
        return None if metric == VALUE else metric

    @property
    def finalist_metric(self) -> Metric:
        """The metric of finalists: the default objective of the task, which is accuracy if it is unknown."""
        return task_of(self.comparison.tasks[0].fitness.get("data") or {}).objective()

    @property
    def measure(self) -> str:
        """Display name of the fitness."""
        noisy = "noisy " if any("noise" in (each.settings.get("fitness") or {}) for each in self.results) else ""
        return f"{noisy}search {self.metric.title}" if self.metric else "fitness"

    def written(self, value: float) -> str:
        """Return a formatted fitness, as its metric if known."""
        return worth(self.metric, value) if self.metric else f"{value:.5g}"

    @property
    def cost_axis(self) -> str:
        """The cost to plot against: that in which budgets differ, else parameters, unless only another is limited."""
        if self.budgets:
            return self.results[0].budget_cost
        known = [name for name in self.limits if name in self.space.known_costs]
        return "params" if "params" in known or not known else known[0]

    def summary(self, finalists: Sequence[Finalist], examples: int | None) -> list[str]:
        """Return the findings as paragraphs, with those of the finalists on so many test examples."""
        tested = say("tested", finalists=finalists, metric=self.finalist_metric, examples=examples)
        cells = self.comparison.cells
        seeds = cells.groupby("strategy", sort=False).size().tolist()
        effort = {"evaluations": cells.evaluations.tolist(), "seeds": seeds, "runs": len(cells)}
        return [f"{say('winner', searches=self)} {tested}", say("effort", labels=self.comparison.labels, **effort)]

    def caveats(self) -> list[str]:
        """Return caveats that the tables do not show."""
        different = len({repr(result.settings.get("fitness")) for result in self.results}) > 1
        resumed = any(result.counts.get("replayed") for result in self.results)
        return [*([say("caveat_fitness")] if different else []), *([say("caveat_resumed")] if resumed else [])]


def gains_of(finalists: Sequence[Finalist]) -> list[float]:
    """Return, for each budget, how far its winner is above its best rival after training."""
    found = []
    for own in dict.fromkeys(each.budget for each in finalists):
        winner, *rivals = (each.trained for each in finalists if each.budget == own)
        found += [winner - max(rivals)] if rivals else []
    return found


def summary_lines(results: Sequence[SearchResult], finalists: Sequence[Finalist] = ()) -> list[str]:
    """Return tables of the strategies and of the finalists as plain text, at most 80 columns wide.

    Args:
        results: Of one or more strategies, on the same space and limits.
        finalists: The winner and baselines.

    Raises:
        NasformerError: The results do not belong together.
    """
    searches = Searches(results, from_results(results))
    lines = [_row("strategy", ["seeds", "median", "best", "worst", "evals", "dupl.", "infeas."])]
    for label, cells in searches.comparison.cells.groupby("strategy", sort=False):
        values = [searches.written(of(cells.confirmed)) for of in (median, max, min)]
        counts = [compact(cells[name].sum()) for name in ("evaluations", "duplicates", "infeasible")]
        lines.append(_row(str(label), [str(len(cells)), *values, *counts]))
    if finalists:
        metric = searches.finalist_metric
        lines += ["", _row(f"test {metric.title}", [cost_name("params"), "MACs", "inherited", "trained"])]
        for each in finalists:
            values = [grouped(each.params), compact(each.macs), metric.text(each.inherited), metric.text(each.trained)]
            lines.append(_row(f"{each.budget}: {each.kind}", values))
    return lines


def _row(label: str, cells: Sequence[Any]) -> str:
    columns = " ".join(f"{cell or MISSING:>{8 if len(cells) > 5 else 10}}" for cell in cells)
    space = _WIDTH - len(columns) - 1
    return f"{shortened(label, space):<{space}} {columns}".rstrip()
