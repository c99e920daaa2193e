"""Strategy: the ask/tell protocol of search algorithms, and a base class that enforces it.

A strategy is asked for architectures and told their trials. It returns only feasible architectures, and those that it
declares as probes, each once; ``BaseStrategy`` guarantees this, so an algorithm only implements ``propose`` and, if it
learns, ``observe``.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import RejectionError, StrategyError
from nasformer.search.evaluation import Trial
from nasformer.search.state import as_plain, from_plain
from nasformer.space import EnumeratedSet, FeasibleSet
from nasformer.space.scores import distance_scores

_DRAWS = 64
_ENUMERABLE = 1_000_000
_OWN_STATE = ("rng", "counts", "_draw_rng", "_draws", "_rest", "_spent")
_MAX_REST = 20_000
"""Longest rest of a set that is saved again and again."""


class _SpentError(StrategyError):
    """Nothing is left to ask."""


@runtime_checkable
class Strategy(Protocol):
    """A search algorithm, made as ``Strategy(feasible, *, seed, evaluations, batch_size, **options)``.

    Optional members, as in ``BaseStrategy``: ``counts``, ``findings()``, ``keeps``, ``probes``, ``uses_evaluations``.
    Also optional, for searches with several budgets: ``focus(feasible)``, which makes the next asks and
    recommendations for a subset of the feasible set. It is called once with each subset before the first ask, then
    before each ask and recommendation; an ask that returns nothing leaves the subset as exhausted. Without it, a search
    has one strategy for each budget (``PerBudget``).
    Also optional, to go on without a replay: ``state()`` between two batches, and ``restore(state, trials)`` of a new
    instance, which changes nothing where it fails.
    """

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return up to ``n`` feasible architectures, or probes, never returned before.

        Fewer only if the set is exhausted, or the algorithm needs results first.
        """
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn results, in any order and in batches of any size; a failed trial may be told again with a value."""
        ...

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the ``k`` best architectures by the strategy's own estimate, best first."""
        ...


class BaseStrategy(ABC):
    """A strategy with feasible and distinct proposals.

    An infeasible or duplicate proposal costs no evaluation: it is counted, its known value
    is observed, and ``propose`` is called again, at most ``max_proposals`` times; then a feasible random
    sample replaces it. In a sparse set, such as the rows of a table, most proposals would be infeasible: the nearest
    row that was not asked before takes their place.

    Args:
        feasible: The feasible set to search.
        seed: Random seed.
        evaluations: Number of evaluations of the search, if known.
        batch_size: Architectures per ask, if known.

    Attributes:
        variant: The option that ``name:VALUE`` sets, if any.
        uses_evaluations: Whether proposals depend on ``evaluations``, the total.
        keeps: Number of best trials that the strategy relies on: a racing fitness may stop evaluating the others
            early, and report an estimate.
        probes: Architectures outside the feasible set that it may ask for, to learn from their values. They count as
            evaluations and never win.
        saved: Attributes that ``state`` keeps beside those of this class, not inherited; None: it is rebuilt by replay.
        target: The part of the feasible set that is recommended from; ``focus``, of strategies that have it, sets it.
        told: All told trials by architecture.
        counts: ``duplicates``, ``infeasible`` and ``replaced`` proposals.
        rng: Python's random generator, for scalar draws.
    """

    max_proposals = 100
    variant: ClassVar[str | None] = None
    uses_evaluations: ClassVar[bool] = False
    saved: ClassVar[tuple[str, ...] | None] = None
    keeps: int = 1

    def __init__(
        self, feasible: FeasibleSet, *, seed: int, evaluations: int | None = None, batch_size: int = 1
    ) -> None:
        if evaluations is not None and evaluations < 1:
            raise StrategyError(f"evaluations must be at least 1, got {evaluations}", evaluations)
        if batch_size < 1:
            raise StrategyError(f"batch_size must be at least 1, got {batch_size}", batch_size)
        self.feasible, self.space, self.target = feasible, feasible.space, feasible
        self.seed, self.evaluations, self.batch_size = seed, evaluations, batch_size
        self.rng = random.Random(seed)
        self.told: dict[Architecture, Trial] = {}
        self.counts = {"duplicates": 0, "infeasible": 0, "replaced": 0}
        self.probes: Set[Architecture] = frozenset()
        self._asked: set[Architecture] = set()
        self._draws: list[Architecture] = []
        self._draw_rng = np.random.default_rng([seed, 0x6472_6177])
        self._rest: list[Architecture] | None = None
        self._spent = False

    @abstractmethod
    def propose(self) -> Architecture | None:
        """Return the next proposal, possibly infeasible or a duplicate; None: it needs results first."""

    def observe(self, architecture: Architecture, value: float | None) -> None:  # noqa: B027 - optional
        """Learn the value of a proposal, or of its random replacement; None: no value.

        Called once per proposal: immediately for an infeasible one (None) and for a duplicate (its
        known value, None while pending), else when its trial is told.
        """

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return up to ``n`` feasible architectures, or probes, never returned before."""
        if n < 1:
            raise StrategyError(f"ask(n) takes at least 1, got {n}", n)
        asked: list[Architecture] = []
        while len(asked) < n and (architecture := self._next()) is not None:
            self._asked.add(architecture)
            asked.append(architecture)
        return asked

    def _next(self) -> Architecture | None:
        if self.exhausted:
            return None
        try:
            return self._new()
        except _SpentError:
            self._spent = True
            return None

    def _new(self) -> Architecture | None:
        with suppress(RejectionError):  # repair under a black-box cost may fail
            for _ in range(self.max_proposals):
                architecture = self.propose()
                if architecture is None or self._is_new(architecture):
                    return architecture
                if self.feasible.sparse:
                    return self.repair(architecture)
        self.counts["replaced"] += 1
        return self.draw()

    def _is_new(self, architecture: Architecture) -> bool:
        if architecture in self._asked:
            self.counts["duplicates"] += 1
            trial = self.told.get(architecture)
            self.observe(architecture, trial.value if trial else None)
            return False
        if architecture not in self.feasible and architecture not in self.probes:
            self.counts["infeasible"] += 1
            self.observe(architecture, None)
            return False
        return True

    def repair(self, architecture: Architecture, *, new: bool = False) -> Architecture:
        """Return the nearest feasible architecture; if ``new``, and in a sparse set, the nearest never asked."""
        if isinstance(self.feasible, EnumeratedSet) and self.feasible.sparse:
            found = self.feasible.nearest(architecture)
        elif new:
            found = self.feasible.ranked(distance_scores(self.space.codec, architecture))
        else:
            return self.feasible.repair(architecture)
        for each in found:
            if each not in self._asked:
                return each
        raise _SpentError(f"every architecture within {self.feasible.describe()} has been asked", self.feasible)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Store trials and observe their values; a failed trial may be told again."""
        for trial in trials:
            known = self.told.get(trial.architecture)
            if known is not None and known.value is not None:
                raise StrategyError(f"trial {trial.number} was told before: {trial.architecture}", trial)
            self.told[trial.architecture] = trial
            self._asked.add(trial.architecture)
            self.observe(trial.architecture, trial.value)

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the architectures of the ``k`` best trials of the target; without any, the nearest to the best."""
        told = [trial.architecture for trial in self.best_told(k)]
        if told or self.target is self.feasible:
            return told
        best = sorted((trial for trial in self.told.values() if trial.eligible), key=lambda t: t.rank)[:k]
        return list(dict.fromkeys(self.target.repair(trial.architecture) for trial in best))

    def best_told(self, k: int) -> list[Trial]:
        """Return the ``k`` best successful trials of the target, best first; no probes."""
        eligible = [trial for trial in self.told.values() if trial.eligible]
        if self.target is not self.feasible:
            eligible = [trial for trial in eligible if trial.architecture in self.target]
        return sorted(eligible, key=lambda trial: trial.rank)[:k]

    def state(self) -> dict[str, Any] | None:
        """Return the state beyond the told trials as plain data, between two batches; None: there is none."""
        saved = vars(type(self)).get("saved")  # a subclass may have further attributes: it says so itself
        if saved is None or len(self._rest or ()) > _MAX_REST:
            return None
        return {name: as_plain(getattr(self, name), self.space) for name in (*_OWN_STATE, *saved)}

    def restore(self, state: Mapping[str, Any], trials: Sequence[Trial]) -> None:
        """Set the state of a new instance, and the trials told until then.

        Raises:
            NasformerError, LookupError, TypeError, ValueError, ArithmeticError: It is no such state; nothing changed.
        """
        names = (*_OWN_STATE, *(self.saved or ()))
        made = {name: from_plain(state[name], getattr(self, name), self.space) for name in names}
        vars(self).update(made)
        self.told = {**self.told, **{trial.architecture: trial for trial in trials}}
        self._asked = self._asked | set(self.told)

    def findings(self) -> dict[str, dict[str, Any]]:
        """Return what the search showed beyond its trials: plain figures by name, grouped by subject."""
        return {}

    @property
    def exhausted(self) -> bool:
        """Whether every feasible architecture was asked, or no further one can be found."""
        return self._spent or len(self._asked) - len(self.probes & self._asked) >= self.feasible.at_most()

    def draw(self) -> Architecture:
        """Return a new random feasible architecture: each dimension uniform, conditioned on the limits.

        When a small set is nearly exhausted, the rest is enumerated and sampled uniformly.
        """
        architecture = self._sampled() if self._rest is None else None
        return self._listed() if architecture is None else architecture

    def _sampled(self) -> Architecture | None:
        """Return a new sample; None if all of many samples were duplicates or infeasible."""
        with suppress(RejectionError):
            for _ in range(10 * _DRAWS):
                if not self._draws:
                    self._draws = self.feasible.sample(_DRAWS, self._draw_rng)
                architecture = self._draws.pop()
                if architecture not in self._asked:
                    return architecture
            if self.feasible.at_most() <= _ENUMERABLE and self.feasible.countable:
                return None
            for _ in range(10 * _DRAWS):  # the prior favours architectures already asked
                (architecture,) = self.feasible.sample(1, self._draw_rng, "architectures")
                if architecture not in self._asked:
                    return architecture
        return None

    def _listed(self) -> Architecture:
        """Return one of the remaining architectures, enumerated."""
        if self._rest is None:
            if not self.feasible.countable:
                raise _SpentError(f"no further architecture was found within {self.feasible.describe()}", self.feasible)
            everything = self.space.decode(self.feasible.codes(_ENUMERABLE))
            self._rest = [architecture for architecture in everything if architecture not in self._asked]
            self.rng.shuffle(self._rest)
        while self._rest:
            if (architecture := self._rest.pop()) not in self._asked:
                return architecture
        raise _SpentError(f"every architecture within {self.feasible.describe()} has been asked", self.feasible)
