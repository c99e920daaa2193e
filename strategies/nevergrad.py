"""Nevergrad: any optimizer of its registry that answers ask and tell (Rapin & Teytaud, 2018), as ``nevergrad:NAME``.

The genes are one array of integers, the indices of the choices: against one discrete variable per gene it
took a tenth of the time and searched no worse. A candidate outside the budget is judged by the nearest
architecture inside. Optimizers that cannot run in parallel are asked one at a
time; those that need a package which is not installed are refused by name.
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
"""What optimizers that plan ahead are told where the number of evaluations is not known."""


class Nevergrad(BaseStrategy):
    """An optimizer of Nevergrad.

    Args:
        feasible: The set to search.
        seed: Of all randomness.
        evaluations: How many architectures the search will look at; the optimizer's own budget.
        batch_size: How many are asked at a time; the optimizer's number of workers.
        optimizer: Its name in Nevergrad's registry.
    """

    max_proposals = 20
    variant: ClassVar[str | None] = "optimizer"

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
        self._globals = random.Random(seed).getstate(), np.random.RandomState(seed).get_state()
        self._genes = Genes(self.space)
        # A space of one has no gene: Nevergrad refuses to have nothing to choose.
        highest = np.array([choices - 1 for choices in self._genes.choices.values()] or [1], dtype=float)
        with self._seeded():
            # Half a step beyond both ends, so that rounding gives every choice the same room.
            parametrization = ng.p.Array(init=highest / 2, lower=-0.499 + 0 * highest, upper=highest + 0.499)
            parametrization.set_integer_casting()
            parametrization.random_state = np.random.RandomState(seed)
        workers = 1 if self.sequential else batch_size
        self._budget = evaluations or min(feasible.at_most(), _UNKNOWN_BUDGET)
        self._optimizer = self._call(registry[optimizer], parametrization, budget=self._budget, num_workers=workers)
        self._ready: Any = None
        self._open: dict[Architecture, list[Any]] = defaultdict(list)

    def propose(self) -> Architecture | None:
        """Return the optimizer's candidate, moved into the budget; None while a sequential one waits."""
        if self.sequential and len(self._asked) > len(self.told):
            return None
        if self._optimizer.num_ask >= self._budget:
            self.counts["replaced"] += 1  # duplicates have used its budget up, and some refuse to go beyond
            return self.draw()
        candidate = self._call(self._optimizer.ask) if self._ready is None else self._ready
        self._ready = None
        indices = dict(zip(self._genes.choices, candidate.value.astype(int).tolist(), strict=False))
        architecture = self.feasible.repair(self._genes.read(indices))
        self._open[architecture].append(candidate)
        return architecture

    def observe(self, architecture: Architecture, value: float | None) -> None:
        """Tell the optimizer every candidate that stands for this architecture; a failed one as the worst."""
        if architecture in self._asked and architecture not in self.told:
            return  # a duplicate of one that is still evaluated: told with it
        if value is None:
            value = min((trial.value for trial in self.told.values() if trial.value is not None), default=0.0)
        for candidate in self._open.pop(architecture, []):
            self._call(self._tell, candidate, -value)

    def _tell(self, candidate: Any, loss: float) -> None:
        self._optimizer.tell(candidate, loss)
        if self._optimizer.recast and self._optimizer.num_ask < self._budget:
            # Its thread goes on at once: wait for it here, where the generators and warnings are ours.
            self._ready = self._optimizer.ask()

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call Nevergrad; an optimizer's own package may be missing, or its code at fault."""
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
        """Give optimizers that draw from the global generators our own state, and leave theirs as it was."""
        outside = random.getstate(), np.random.get_state()
        random.setstate(self._globals[0])
        np.random.set_state(self._globals[1])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Nevergrad's advice on budgets and workers is not the caller's
                yield
        finally:
            self._globals = random.getstate(), np.random.get_state()
            random.setstate(outside[0])
            np.random.set_state(outside[1])
