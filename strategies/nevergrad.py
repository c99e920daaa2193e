"""Nevergrad: any optimizer of its registry that answers ask and tell (Rapin & Teytaud, 2018).

Every gene is an ordered discrete variable, the index of its choice. A candidate outside the budget is
judged by the nearest architecture inside. Optimizers that cannot run in parallel are asked one at a
time; those that need a package which is not installed are refused by name.
"""

from __future__ import annotations

import random
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import nevergrad as ng
import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError, did_you_mean
from nasformer.search import BaseStrategy
from nasformer.space import FeasibleSet


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
        parametrization = ng.p.Dict(
            **{name: ng.p.TransitionChoice(range(options)) for name, options in self._genes().items()}
        )
        parametrization.random_state = np.random.RandomState(seed)
        self._globals = random.Random(seed).getstate(), np.random.RandomState(seed).get_state()
        self.optimizer = optimizer
        self.sequential = bool(registry[optimizer].no_parallelization)
        workers = 1 if self.sequential else batch_size
        with self._seeded():
            try:
                self._optimizer = registry[optimizer](parametrization, budget=evaluations, num_workers=workers)
            except (ImportError, ValueError, NotImplementedError) as error:
                raise StrategyError(f"Nevergrad's {optimizer!r} cannot be used here: {error}", optimizer) from error
        self._open: dict[Architecture, list[Any]] = defaultdict(list)

    def propose(self) -> Architecture | None:
        """Return the optimizer's candidate, moved into the budget; None while a sequential one waits."""
        if self.sequential and len(self._asked) > len(self.told):
            return None
        candidate = self._ask_optimizer()
        architecture = self.feasible.repair(self._read(candidate.value))
        self._open[architecture].append(candidate)
        return architecture

    def observe(self, architecture: Architecture, value: float | None) -> None:
        """Tell the optimizer every candidate that stands for this architecture; a failed one as the worst."""
        if architecture in self._asked and architecture not in self.told:
            return  # a duplicate of one that is still evaluated: told with it
        if value is None:
            value = min((trial.value for trial in self.told.values() if trial.value is not None), default=0.0)
        with self._seeded():
            for candidate in self._open.pop(architecture, []):
                self._optimizer.tell(candidate, -value)

    def _ask_optimizer(self) -> Any:
        with self._seeded():
            try:
                return self._optimizer.ask()
            except Exception as error:  # an optimizer's own package may be missing, or its code at fault
                reason = " ".join(str(error).split())
                raise StrategyError(
                    f"Nevergrad's {self.optimizer!r} cannot go on: {type(error).__name__}: {reason}", self.optimizer
                ) from error

    def _genes(self) -> dict[str, int]:
        codec = self.space.codec
        genes = {"embed_dim": len(codec.embed_dim), "depth": len(codec.depth)}
        for key, tied in codec.tied.items():
            names = [key] if tied else [f"{key}.{layer}" for layer in range(codec.max_depth)]
            genes |= dict.fromkeys(names, len(getattr(codec, key)))
        free = {name: options for name, options in genes.items() if options > 1}
        return free or {"nothing": 2}  # a space of one: Nevergrad refuses to have nothing to choose

    def _read(self, genes: dict[str, int]) -> Architecture:
        codec = self.space.codec
        depth = codec.depth[genes.get("depth", 0)]
        layers = {
            key: tuple(getattr(codec, key)[genes.get(key if tied else f"{key}.{layer}", 0)] for layer in range(depth))
            for key, tied in codec.tied.items()
        }
        return Architecture(codec.embed_dim[genes.get("embed_dim", 0)], layers["num_heads"], layers["mlp_ratio"])

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
