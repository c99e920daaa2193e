"""Strategy: the protocol of search algorithms, and the base that keeps their promises.

A strategy is asked for architectures and told their trials. It only ever hands out feasible
architectures that it has not handed out before; ``BaseStrategy`` sees to that, so that an algorithm
is a ``propose`` and, where it learns, an ``observe``.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import RejectionError, StrategyError
from nasformer.search.evaluation import Trial
from nasformer.space import FeasibleSet

_DRAWS = 64
_ENUMERABLE = 1_000_000


class _SpentError(StrategyError):
    """Nothing is left to ask."""


@runtime_checkable
class Strategy(Protocol):
    """A search algorithm, made as ``Strategy(feasible, *, seed, evaluations, batch_size, **options)``."""

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return up to ``n`` feasible architectures never returned before.

        Fewer only where the set is exhausted, or where the algorithm must first be told.
        """
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learn the outcome of what was asked, in any order and in any portions."""
        ...

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the best ``k`` architectures by the strategy's own judgement, best first."""
        ...


class BaseStrategy(ABC):
    """A strategy whose proposals are made feasible and distinct.

    A proposal that is infeasible, or a duplicate, costs no evaluation: it is counted, its known value
    is observed, and another is asked for, ``max_proposals`` times at most; then a feasible random
    draw takes its place.

    Args:
        feasible: The set to search.
        seed: Of all randomness.
        evaluations: How many architectures the search will look at, where known.
        batch_size: How many are asked at a time, where known.

    Attributes:
        variant: The option that ``name:VALUE`` sets where a strategy is named, if any.
        keeps: How many of the best told the strategy goes by: a fitness that races may stop looking at what is
            not among them, and tells an estimate.
        told: Every trial told, by architecture.
        counts: ``duplicates``, ``infeasible`` and ``replaced`` proposals.
        rng: Python's generator, for scalar draws.
    """

    max_proposals = 100
    variant: ClassVar[str | None] = None
    keeps: int = 1

    def __init__(
        self, feasible: FeasibleSet, *, seed: int, evaluations: int | None = None, batch_size: int = 1
    ) -> None:
        if evaluations is not None and evaluations < 1:
            raise StrategyError(f"evaluations must be at least 1, got {evaluations}", evaluations)
        if batch_size < 1:
            raise StrategyError(f"batch_size must be at least 1, got {batch_size}", batch_size)
        self.feasible, self.space = feasible, feasible.space
        self.seed, self.evaluations, self.batch_size = seed, evaluations, batch_size
        self.rng = random.Random(seed)
        self.told: dict[Architecture, Trial] = {}
        self.counts = {"duplicates": 0, "infeasible": 0, "replaced": 0}
        self._asked: set[Architecture] = set()
        self._draws: list[Architecture] = []
        self._draw_rng = np.random.default_rng([seed, 0x6472_6177])
        self._rest: list[Architecture] | None = None
        self._spent = False

    @abstractmethod
    def propose(self) -> Architecture | None:
        """Return the algorithm's next idea, feasible or not, new or not; None: it must first be told."""

    def observe(self, architecture: Architecture, value: float | None) -> None:  # noqa: B027 - optional
        """Learn the value of a proposal or of a random draw that replaced one; None: it has none.

        Called once for every proposal: at once for an infeasible one (None) and for a duplicate (its
        known value, None while it is pending), else when its trial is told.
        """

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return up to ``n`` feasible architectures never returned before."""
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
        with suppress(RejectionError):  # a proposal moved into limits that can only be tried may find none inside
            for _ in range(self.max_proposals):
                architecture = self.propose()
                if architecture is None or self._is_new(architecture):
                    return architecture
        self.counts["replaced"] += 1
        return self.draw()

    def _is_new(self, architecture: Architecture) -> bool:
        if architecture in self._asked:
            self.counts["duplicates"] += 1
            trial = self.told.get(architecture)
            self.observe(architecture, trial.value if trial else None)
            return False
        if architecture not in self.feasible:
            self.counts["infeasible"] += 1
            self.observe(architecture, None)
            return False
        return True

    def tell(self, trials: Sequence[Trial]) -> None:
        """Record trials and observe their values."""
        for trial in trials:
            if trial.architecture in self.told:
                raise StrategyError(f"trial {trial.number} was told before: {trial.architecture}", trial)
            self.told[trial.architecture] = trial
            self._asked.add(trial.architecture)
            self.observe(trial.architecture, trial.value)

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the ``k`` best told."""
        return [trial.architecture for trial in self.best_told(k)]

    def best_told(self, k: int) -> list[Trial]:
        """Return the ``k`` best trials that have a value, best first."""
        return sorted((trial for trial in self.told.values() if trial.value is not None), key=lambda t: t.rank)[:k]

    @property
    def exhausted(self) -> bool:
        """Whether every feasible architecture has been asked, or no other can be found."""
        return self._spent or len(self._asked) >= self.feasible.at_most()

    def draw(self) -> Architecture:
        """Return a random feasible architecture never asked: each dimension uniform given the limits.

        Where nearly all of a small set has been asked, the rest is listed and drawn from evenly.
        """
        architecture = self._sampled() if self._rest is None else None
        return self._listed() if architecture is None else architecture

    def _sampled(self) -> Architecture | None:
        """Return a draw never asked; None where all of many were asked, or were outside the limits."""
        with suppress(RejectionError):
            for _ in range(10 * _DRAWS):
                if not self._draws:
                    self._draws = self.feasible.sample(_DRAWS, self._draw_rng)
                architecture = self._draws.pop()
                if architecture not in self._asked:
                    return architecture
            if self.feasible.at_most() <= _ENUMERABLE and self.feasible.countable:
                return None
            for _ in range(10 * _DRAWS):  # the prior rests on what was asked
                (architecture,) = self.feasible.sample(1, self._draw_rng, "architectures")
                if architecture not in self._asked:
                    return architecture
        return None

    def _listed(self) -> Architecture:
        """Return an architecture of the list of all that are left."""
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
