"""PerBudget: a search with several budgets by a strategy that knows one: an instance for each, sharing evaluations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, cast

from nasformer.architecture import Architecture
from nasformer.search.evaluation import Trial
from nasformer.search.resume import keeps_state
from nasformer.search.strategy import Strategy
from nasformer.space import FeasibleSet


def has_focus(factory: object) -> bool:
    """Whether a strategy's class, or a partial of it, knows several budgets."""
    return hasattr(getattr(factory, "func", factory), "focus")


def for_budgets(
    factory: object,
    make: Callable[[FeasibleSet, int], Strategy],
    feasible: FeasibleSet,
    targets: Sequence[FeasibleSet],
    evaluations: int,
) -> Strategy:
    """Return a strategy for a set and for the set of each budget, its subsets.

    Args:
        factory: The strategy's class, or a partial of it.
        make: Makes an instance for a feasible set and a number of evaluations.
        feasible: The set to search.
        targets: The set of each of several budgets; none for one.
        evaluations: Number of evaluations of the search.
    """
    if len(targets) > 1 and not has_focus(factory):
        return PerBudget(make, targets, evaluations)
    made = make(feasible, evaluations)
    for target in targets:
        cast(Any, made).focus(target)
    return made


class PerBudget:
    """One instance of a strategy for each budget; each is told every trial of its own feasible set.

    Args:
        make: Makes an instance for a feasible set and a number of evaluations.
        targets: The feasible set of each budget.
        evaluations: Number of evaluations of the search, shared out evenly.

    Attributes:
        probes: Those of all instances.
        uses_evaluations: Whether proposals depend on ``evaluations``.
    """

    def __init__(
        self, make: Callable[[FeasibleSet, int], Strategy], targets: Sequence[FeasibleSet], evaluations: int
    ) -> None:
        share, rest = divmod(evaluations, len(targets))
        self.targets = tuple(targets)
        self.instances = [make(target, max(1, share + (at < rest))) for at, target in enumerate(targets)]
        self.probes = frozenset[Architecture]().union(*(getattr(each, "probes", ()) for each in self.instances))
        self.uses_evaluations = any(getattr(each, "uses_evaluations", True) for each in self.instances)
        self._asked: set[Architecture] = set()
        self._told: set[Architecture] = set()
        self.focus(targets[0])

    def focus(self, feasible: FeasibleSet) -> None:
        """Make the next asks and recommendations for one budget."""
        self._current = self.instances[self.targets.index(feasible)]

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return up to ``n`` architectures for the budget; what another instance asked for is evaluated once."""
        asked: list[Architecture] = []
        for _ in range(n + len(self._asked - self._told)):
            if len(asked) == n or not (found := self._current.ask(n - len(asked))):
                break
            asked += [each for each in found if each not in self._asked]
            self._asked.update(found)
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell each instance the trials of its feasible set, and its probes."""
        self._told.update(trial.architecture for trial in trials)
        self._asked.update(trial.architecture for trial in trials)
        for target, instance in zip(self.targets, self.instances, strict=True):
            if told := _within(target, instance, trials):
                instance.tell(told)

    def state(self) -> dict[str, Any] | None:
        """Return the states of the instances; None if one has none."""
        states = [cast(Any, each).state() if keeps_state(each) else None for each in self.instances]
        return None if None in states else {"instances": states}

    def restore(self, state: Mapping[str, Any], trials: Sequence[Trial]) -> None:
        """Set the states of new instances, and the trials told until then."""
        restored = [copy(instance) for instance in self.instances]
        for target, instance, own in zip(self.targets, restored, state["instances"], strict=True):
            cast(Any, instance).restore(own, _within(target, instance, trials))
        self.instances, self._told = restored, self._told | {trial.architecture for trial in trials}
        self._asked |= self._told
        self.focus(self.targets[0])

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the ``k`` best architectures for the budget."""
        return self._current.recommend(k)

    @property
    def counts(self) -> dict[str, int]:
        """Counts of the instances, summed."""
        each = [getattr(instance, "counts", {}) for instance in self.instances]
        return {name: sum(counts.get(name, 0) for counts in each) for name in dict.fromkeys(n for c in each for n in c)}

    def findings(self) -> dict[str, dict[str, Any]]:
        """Return the findings of each instance, with its budget."""
        return {
            f"{name}, {target.describe()}": found
            for target, instance in zip(self.targets, self.instances, strict=True)
            for name, found in (instance.findings() if hasattr(instance, "findings") else {}).items()
        }


def _within(target: FeasibleSet, instance: Strategy, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of a feasible set, and the probes of its instance."""
    probes = getattr(instance, "probes", ())
    known = [(trial, trial.architecture in probes) for trial in trials]
    return [replace(trial, probe=probe) for trial, probe in known if probe or trial.architecture in target]
