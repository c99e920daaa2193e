"""Predictor evolution: evolve on a model of the fitness, evaluate what the model may hold for best, refit.

After BANANAS (White, Neiswanger & Savani, AAAI 2021) and NPENAS (Wei et al., 2020): a predictor learns from
what was told, candidates evolve under it, and the chosen are evaluated. The predictor is scikit-learn's
Bayesian ridge regression on the one-hot choices (an additive model explains 97 % of the variance of
AutoFormer's inherited accuracies), with the noise estimated. Thompson sampling (1933) weighs what is
uncertain: each evaluation goes to the best candidate by a draw of its own from the posterior.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import BayesianRidge

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.search import BaseStrategy, Trial
from nasformer.space import FeasibleSet
from nasformer.strategies._neighbours import Neighbours

_MOST_TRIALS = 2000
"""The predictor learns from no more, half the best and half the latest, which bounds the time of a fit."""

_ROUNDS = 4
"""Generations that evolve under one predictor."""


class PredictorEvolution(BaseStrategy):
    """Evolution under a Bayesian predictor.

    Args:
        feasible: The set to search.
        seed: Of all randomness.
        evaluations: How many architectures the search will look at.
        batch_size: How many are asked at a time.
        startup: Random draws before the first fit.
        refit: Evaluations between fits, each chosen by its own draw of the predictor.
        candidates: Children per generation under the predictor.
    """

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        startup: int = 30,
        refit: int = 10,
        candidates: int = 100,
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        for name, number, least in (("startup", startup, 2), ("refit", refit, 1), ("candidates", candidates, 1)):
            if not isinstance(number, int) or number < least:
                raise StrategyError(f"{name} must be a whole number of at least {least}, got {number!r}", number)
        self.startup, self.refit, self.candidates = startup, refit, candidates
        self._neighbours = Neighbours(feasible)
        codec, layers = self.space.codec, self.space.codec.max_depth
        repeats = ((len(d.values), layers if d.scope == "layer" else 1) for d in codec.dimensions)
        lengths = [length for length, times in repeats for _ in range(times)]
        self._columns = np.repeat(np.arange(len(lengths)), np.array(lengths) - 1)
        self._values = np.concatenate([np.arange(1, length) for length in lengths])
        self._numpy = np.random.default_rng([seed, 0x7072_6564])
        self._population: list[Architecture] = []
        self._chosen: list[Architecture] = []

    def propose(self) -> Architecture:
        """Return the next of the chosen; random draws until the predictor has something to learn from."""
        if not self._chosen:
            trials = self._lessons()
            if len(trials) < self.startup:
                return self.draw()
            self._chosen = self._choose(trials)
        return self._chosen.pop(0) if self._chosen else self.draw()

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return by turns the best predicted of what was told and the best told: noise may have crowned the latter."""
        told = [trial.architecture for trial in self.best_told(k)]
        if len(trials := self._lessons()) < self.startup:
            return told
        architectures = [trial.architecture for trial in trials]
        predicted = self._features(architectures) @ self._fit(trials).coef_
        best = [architectures[index] for index in np.argsort(-predicted, kind="stable")[:k]]
        return list(dict.fromkeys(each for pair in zip(best, told, strict=True) for each in pair))[:k]

    def _lessons(self) -> list[Trial]:
        """Return the trials to learn from, in the order asked."""
        trials = sorted((t for t in self.told.values() if t.value is not None), key=lambda trial: trial.number)
        if len(trials) <= _MOST_TRIALS:
            return trials
        half = len(trials) - _MOST_TRIALS // 2
        best = sorted(trials[:half], key=lambda trial: trial.rank)[: _MOST_TRIALS // 2]
        return best + trials[half:]

    def _fit(self, trials: Sequence[Trial]) -> BayesianRidge:
        return BayesianRidge().fit(self._features([t.architecture for t in trials]), [t.value for t in trials])

    def _features(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the choices one-hot, ``(architectures, choices)``, without each gene's first, which the rest imply."""
        codes = self.space.encode(architectures)
        features: NDArray[np.float64] = (codes[:, self._columns] == self._values).astype(np.float64)
        return features

    def _choose(self, trials: Sequence[Trial]) -> list[Architecture]:
        """Evolve candidates under draws of the predictor, and return the best by each draw."""
        model = self._fit(trials)
        draws = self._numpy.multivariate_normal(model.coef_, model.sigma_, size=self.refit, method="eigh")
        known = [*self._population, *(trial.architecture for trial in self.best_told(self.candidates))]
        pool = dict.fromkeys([*known, *self.feasible.sample(self.candidates, self._numpy)])
        for _ in range(_ROUNDS):
            parents = dict.fromkeys([*self._champions(list(pool), draws), *self._best_of_each_size(pool, model)])
            share = -(-self.candidates // len(parents))
            for parent in parents:
                pool |= dict.fromkeys(islice(self._neighbours.of(parent, self.rng), share))
        self._population = self._best_of_each_size(pool, model)
        return [*self._unseen_sizes(), *self._champions([each for each in pool if each not in self._asked], draws)]

    def _unseen_sizes(self) -> list[Architecture]:
        """Return the best predicted of each choice of the network of which nothing was asked, nor is known."""
        seen = {self._size(each) for each in self._asked}
        return [each for each in self._population if self._size(each) not in seen]

    def _size(self, architecture: Architecture) -> tuple[float, ...]:
        return tuple(getattr(architecture, d.name) for d in self.space.dimensions if d.scope == "network")

    def _best_of_each_size(self, pool: Iterable[Architecture], model: BayesianRidge) -> list[Architecture]:
        """Return the best predicted of each choice of the network: no good steps may lead from one to another."""
        architectures = list(pool)
        predicted = self._features(architectures) @ model.coef_
        best: dict[tuple[float, ...], Architecture] = {}
        for index in np.argsort(-predicted, kind="stable").tolist():
            each = architectures[index]
            best.setdefault(self._size(each), each)
        return list(best.values())

    def _champions(self, architectures: Sequence[Architecture], draws: NDArray[np.float64]) -> list[Architecture]:
        """Return the best architecture by each draw that no draw before it has taken."""
        if not architectures:
            return []
        scores = self._features(architectures) @ draws.T  # (architectures, draws)
        taken: dict[int, None] = {}
        for order in np.argsort(-scores, axis=0, kind="stable").T[: len(architectures)]:
            taken[next(index for index in order.tolist() if index not in taken)] = None
        return [architectures[index] for index in taken]
