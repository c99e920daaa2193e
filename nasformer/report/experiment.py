"""Experiment: the results of several strategies and seeds on one task, checked and grouped."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.cost import Limits, format_limits
from nasformer.errors import NasformerError
from nasformer.report.notation import percent
from nasformer.search.evaluation import Trial
from nasformer.search.result import Found, SearchResult
from nasformer.space import SearchSpace

_PERCENT_KINDS = ("inherited",)


@dataclass(frozen=True)
class Group:
    """The runs of one strategy with one set of options.

    Args:
        label: The strategy's name, with its options where the name alone does not tell it apart.
        results: Its runs, by seed.
    """

    label: str
    results: tuple[SearchResult, ...]

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return [result.seed for result in self.results]

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

    def seconds(self, name: str) -> float:
        """Return a time such as ``strategy``, the median over the runs."""
        return median(result.seconds.get(name, 0.0) for result in self.results)

    def seconds_per_evaluation(self, name: str) -> float:
        """Return a time such as ``strategy`` per evaluated architecture, the median over the runs."""
        return median(result.seconds.get(name, 0.0) / max(1, len(result.trials)) for result in self.results)

    def best_so_far(self) -> NDArray[np.float64]:
        """Return the best value told so far, ``(runs, evaluations)``; -inf before the first.

        A run that ended early keeps its last value.
        """
        longest = max(len(result.trials) for result in self.results)
        curves = np.full((len(self.results), longest), -np.inf)
        for row, result in zip(curves, self.results, strict=True):
            row[: len(result.trials)] = [-np.inf if trial.value is None else trial.value for trial in result.trials]
        best: NDArray[np.float64] = np.maximum.accumulate(curves, axis=1)
        return best


class Winner(NamedTuple):
    """What was chosen over all runs, and the run that found it."""

    group: Group
    result: SearchResult
    trial: Trial

    @property
    def found(self) -> Found:
        """The confirmed architecture with its fitness and costs."""
        return Found.from_trial(self.trial)


@dataclass(frozen=True)
class Experiment:
    """Results that may be shown beside each other.

    Args:
        results: In the order given.
        groups: By strategy, in the order of their first result.
        winner: The confirmed architecture that was chosen over all runs.
    """

    results: tuple[SearchResult, ...]
    groups: tuple[Group, ...]
    winner: Winner

    @classmethod
    def of(cls, results: Sequence[SearchResult], chosen: Architecture | None = None) -> Experiment:
        """Check and group results.

        Args:
            results: Of one or more strategies and seeds.
            chosen: The winner over all runs; None: the best confirmed, then lower loss, then fewer parameters.

        Raises:
            NasformerError: There are none, one has no confirmed winner, they differ in space or limits,
                one run is there twice, or no run confirmed what was chosen.
        """
        if not results:
            raise NasformerError("a report needs at least one search result, got none", results)
        for result in results:
            _check(result, results[0])
        labels = _labels(results)
        groups: dict[str, list[SearchResult]] = {}
        for label, result in zip(labels, results, strict=True):
            groups.setdefault(label, []).append(result)
        for label, members in groups.items():
            seed, times = Counter(result.seed for result in members).most_common(1)[0]
            if times > 1:
                raise NasformerError(f"{label} with seed {seed} is there {times} times; give each run once", members)
        by_seed = {label: tuple(sorted(members, key=lambda result: result.seed)) for label, members in groups.items()}
        ordered = tuple(Group(label, members) for label, members in by_seed.items())
        return cls(tuple(results), ordered, _winner(ordered, chosen))

    @property
    def space(self) -> SearchSpace:
        """The space of all results."""
        return self.results[0].space

    @property
    def limits(self) -> Limits:
        """The limits of all results."""
        return self.results[0].limits

    @property
    def evaluations(self) -> int:
        """Architectures evaluated in all runs."""
        return sum(group.evaluations for group in self.groups)

    @property
    def fewest_seeds(self) -> int:
        """Runs of the strategy that has the fewest."""
        return min(len(group.results) for group in self.groups)

    @property
    def tied(self) -> list[Group]:
        """Other strategies with a winner of the same confirmed fitness."""
        others = (group for group in self.groups if group is not self.winner.group)
        return [group for group in others if max(group.confirmed) == self.winner.trial.value]

    @cached_property
    def in_percent(self) -> bool:
        """Whether the fitness is an accuracy in percent."""
        return all(map(_measures_accuracy, self.results)) or all(_all_accuracies(result) for result in self.results)

    @property
    def measure(self) -> str:
        """What the fitness is called."""
        return "search accuracy" if self.in_percent else "fitness"

    def written(self, value: float) -> str:
        """Return a fitness as the report writes it."""
        return percent(value) if self.in_percent else f"{value:.5g}"

    @property
    def cost_axis(self) -> str:
        """The cost to plot against: parameters, unless only another cost is limited that the space can tell."""
        known = [name for name in self.limits if name in self.space.known_costs]
        return "params" if "params" in known or not known else known[0]


def _check(result: SearchResult, first: SearchResult) -> None:
    run = f"{result.strategy} with seed {result.seed}"
    differences = result.space.differences(first.space)
    if differences:
        raise NasformerError(f"{run} searched another space: {'; '.join(differences)}; report it by itself", result)
    if result.limits != first.limits:
        mine, other = (format_limits(limits) or "no limits" for limits in (result.limits, first.limits))
        raise NasformerError(f"{run} searched within {mine}, others within {other}; report it by itself", result)
    if not any(trial.value is not None for trial in result.confirmed):
        raise NasformerError(f"{run} has no confirmed winner; leave it out", result)


def _labels(results: Sequence[SearchResult]) -> list[str]:
    options = [json.dumps(result.settings.get("options") or {}, sort_keys=True, default=str) for result in results]
    variants: dict[str, set[str]] = {}
    for result, text in zip(results, options, strict=True):
        variants.setdefault(result.strategy, set()).add(text)
    return [
        result.strategy if len(variants[result.strategy]) == 1 else f"{result.strategy} {_plain(json.loads(text))}"
        for result, text in zip(results, options, strict=True)
    ]


def _plain(options: dict[str, object]) -> str:
    return f"({', '.join(f'{key}={value}' for key, value in options.items()) or 'defaults'})"


def _winner(groups: Sequence[Group], chosen: Architecture | None) -> Winner:
    confirmed = [
        Winner(group, result, trial)
        for group in groups
        for result in group.results
        for trial in result.confirmed
        if trial.value is not None and chosen in (None, trial.architecture)
    ]
    if not confirmed:
        raise NasformerError(f"the chosen {chosen} was confirmed by no run; choose among the confirmed", chosen)
    return min(confirmed, key=lambda winner: winner.trial.rank)


def _measures_accuracy(result: SearchResult) -> bool:
    fitness = result.settings.get("fitness")
    if not isinstance(fitness, dict) or fitness.get("kind") not in _PERCENT_KINDS or "noise" in fitness:
        return False
    return str(fitness.get("objective", "accuracy")) == "accuracy"


def _all_accuracies(result: SearchResult) -> bool:
    return all(trial.metrics.get("accuracy") == trial.value for trial in result.trials if trial.value is not None)
