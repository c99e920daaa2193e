"""Searches: results of several strategies and seeds on one task, checked and grouped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from nasformer.compare.results import check_together, metric_of, strategy_labels
from nasformer.cost import Limits, within
from nasformer.report.notation import worth
from nasformer.search.evaluation import Trial
from nasformer.search.result import FoundArchitecture, SearchResult
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, task_of


@dataclass(frozen=True)
class Group:
    """The runs of one strategy with one set of options.

    Args:
        label: The strategy's name, with its options if needed to distinguish it.
        results: Its runs, by seed.
    """

    label: str
    results: tuple[SearchResult, ...]

    @property
    def confirmed(self) -> list[float]:
        """Confirmed fitness of each run's winner."""
        return [result.best.fitness for result in self.results]

    @property
    def evaluations(self) -> int:
        """Architectures evaluated in all runs."""
        return sum(len(result.trials) for result in self.results)

    def count(self, name: str) -> int:
        """Return a count such as ``duplicates``, summed over the runs."""
        return sum(result.counts.get(name, 0) for result in self.results)


class Winner(NamedTuple):
    """The winner over all runs, and the run that found it."""

    group: Group
    result: SearchResult
    trial: Trial

    @property
    def found(self) -> FoundArchitecture:
        """The confirmed architecture with its fitness and costs."""
        return FoundArchitecture.from_trial(self.trial)


@dataclass(frozen=True)
class Searches:
    """Comparable results.

    Args:
        results: In the given order.
        groups: By strategy, in order of the first result.
        winner: The confirmed winner over all runs.
    """

    results: tuple[SearchResult, ...]
    groups: tuple[Group, ...]
    winner: Winner

    @classmethod
    def of(cls, results: Sequence[SearchResult]) -> Searches:
        """Check and group results.

        Args:
            results: Results of one or more strategies and seeds.

        Raises:
            NasformerError: No results, one without confirmed winner, different spaces or limits, or a duplicate run.
        """
        check_together(results)
        groups: dict[str, list[SearchResult]] = {}
        for label, result in zip(strategy_labels(results), results, strict=True):
            groups.setdefault(label, []).append(result)
        by_seed = {label: tuple(sorted(members, key=lambda result: result.seed)) for label, members in groups.items()}
        ordered = tuple(Group(label, members) for label, members in by_seed.items())
        return cls(tuple(results), ordered, min(_confirmed(ordered), key=lambda winner: winner.trial.rank))

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
    def winners(self) -> list[Winner]:
        """The confirmed winner over all runs within each budget, in their order."""
        known = _confirmed(self.groups)
        inside = ([each for each in known if within(each.trial.costs, own)] for own in self.budgets)
        return [min(found, key=lambda winner: winner.trial.rank) for found in inside]

    @property
    def evaluations(self) -> int:
        """Architectures evaluated in all runs."""
        return sum(group.evaluations for group in self.groups)

    @property
    def tied(self) -> list[Group]:
        """Other strategies with a winner of the same confirmed fitness."""
        others = (group for group in self.groups if group is not self.winner.group)
        return [group for group in others if max(group.confirmed) == self.winner.trial.value]

    @cached_property
    def metric(self) -> Metric | None:
        """The metric that the fitness is, up to its sign; None: unknown."""
        return metric_of(self.results)

    @property
    def finalist_metric(self) -> Metric:
        """The metric of finalists: the default objective of the task, which is accuracy if it is unknown."""
        fitness = self.results[0].settings.get("fitness") or {}
        return task_of(fitness.get("data") or {}).objective()

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


def _confirmed(groups: Sequence[Group]) -> list[Winner]:
    return [
        Winner(group, result, trial)
        for group in groups
        for result in group.results
        for trial in result.confirmed
        if trial.value is not None
    ]
