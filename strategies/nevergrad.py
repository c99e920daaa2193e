"""Nevergrad: any ask-and-tell optimizer of its registry (Rapin & Teytaud, 2018), as ``nevergrad:NAME``.

The search variable is one integer array of choice indices, which took a tenth of the time of one discrete variable
per gene and searched no worse. Infeasible candidates get the value of the nearest feasible architecture. Sequential
optimizers are asked one at a time; those whose package is missing are rejected by name.
"""

from __future__ import annotations

import random
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import nevergrad as ng
import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError, did_you_mean
from nasformer.search import BaseStrategy
from nasformer.space import FeasibleSet
from nasformer.strategies._genes import Genes

_UNKNOWN_BUDGET = 1050
"""Budget given to the optimizer if the number of evaluations is unknown."""


class Nevergrad(BaseStrategy):
    """An optimizer of Nevergrad.

    Args:
        feasible: The set to search.
        seed: Random seed.
        evaluations: Number of evaluations; the optimizer's own budget.
        batch_size: Architectures per ask; the optimizer's number of workers.
        optimizer: Its name in Nevergrad's registry.
    """

    max_proposals = 20
    variant: ClassVar[str | None] = "optimizer"
    uses_evaluations: ClassVar[bool] = True

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        optimizer: str = "NGOpt",
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        registry = ng.optimizers.registry
        if optimizer not in registry:
            raise StrategyError(
                f"Nevergrad has no optimizer {optimizer!r}; {did_you_mean(optimizer, registry)}", optimizer
            )
        if seed >= 2**32:
            raise StrategyError(f"Nevergrad takes a seed below 2**32, got {seed}", seed)
        self.optimizer = optimizer
        self.sequential = bool(registry[optimizer].no_parallelization)
        self._global_states = random.Random(seed).getstate(), np.random.RandomState(seed).get_state()
        self._genes = Genes(self.space)
        # Nevergrad rejects an empty array, as in a space of one architecture.
        highest = np.array([choices - 1 for choices in self._genes.choices.values()] or [1], dtype=float)
        with self._seeded():
            # Half a step beyond both bounds, so that rounding gives every choice an equal interval.
            parametrization = ng.p.Array(init=highest / 2, lower=-0.499 + 0 * highest, upper=highest + 0.499)
            parametrization.set_integer_casting()
            parametrization.random_state = np.random.RandomState(seed)
        workers = 1 if self.sequential else batch_size
        self._budget = evaluations or min(feasible.at_most(), _UNKNOWN_BUDGET)
        self._optimizer = self._call(registry[optimizer], parametrization, budget=self._budget, num_workers=workers)
        self._prefetched: Any = None
        self._pending: dict[Architecture, list[Any]] = defaultdict(list)

    def propose(self) -> Architecture | None:
        """Return the optimizer's candidate, repaired if infeasible; None while a sequential optimizer waits."""
        if self.sequential and len(self._asked) > len(self.told):
            return None
        if self._optimizer.num_ask >= self._budget:
            self.counts["replaced"] += 1  # duplicates exhausted its budget, which some do not exceed
            return self.draw()
        candidate = self._call(self._optimizer.ask) if self._prefetched is None else self._prefetched
        self._prefetched = None
        indices = dict(zip(self._genes.choices, candidate.value.astype(int).tolist(), strict=False))
        architecture = self.repair(self._genes.decode(indices))
        self._pending[architecture].append(candidate)
        return architecture

    def observe(self, architecture: Architecture, value: float | None) -> None:
        """Tell the optimizer all candidates repaired to this architecture; failures get the worst value."""
        if architecture in self._asked and architecture not in self.told:
            return  # a duplicate of a pending architecture: told with it
        if value is None:
            value = min((trial.value for trial in self.told.values() if trial.value is not None), default=0.0)
        for candidate in self._pending.pop(architecture, []):
            self._call(self._tell, candidate, -value)

    def _tell(self, candidate: Any, loss: float) -> None:
        self._optimizer.tell(candidate, loss)
        if self._optimizer.recast and self._optimizer.num_ask < self._budget:
            # Its thread continues at once: wait for it within our random state and warning filter.
            self._prefetched = self._optimizer.ask()

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call Nevergrad and convert its errors, such as a missing package."""
        try:
            with self._seeded():
                return function(*arguments, **options)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise StrategyError(
                f"Nevergrad's optimizer {self.optimizer!r} cannot be used: {type(error).__name__}: {reason}",
                self.optimizer,
            ) from error

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Swap in our own global random states for optimizers that use them, and restore the caller's."""
        callers = random.getstate(), np.random.get_state()
        random.setstate(self._global_states[0])
        np.random.set_state(self._global_states[1])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Nevergrad's advice on budgets and workers does not concern the caller
                yield
        finally:
            self._global_states = random.getstate(), np.random.get_state()
            random.setstate(callers[0])
            np.random.set_state(callers[1])
