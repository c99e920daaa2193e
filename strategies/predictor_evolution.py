"""Predictor evolution: evolve candidates on a predictor of the fitness, evaluate the best, refit.

After BANANAS (White, Neiswanger & Savani, AAAI 2021) and NPENAS (Wei et al., 2020). The predictor is scikit-learn's
Bayesian ridge regression on one-hot choices (an additive model explains 97 % of the variance of AutoFormer's
inherited accuracies), with the noise estimated. Thompson sampling (1933) is the acquisition function: each
evaluation goes to the best candidate under its own posterior sample.
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

_MAX_TRIALS = 2000
"""Maximal training set of the predictor, half the best and half the latest trials; bounds the time of a fit."""

_GENERATIONS = 4
"""Generations per fit."""


class PredictorEvolution(BaseStrategy):
    """Evolution under a Bayesian predictor.

    Args:
        feasible: The set to search.
        seed: Random seed.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask.
        startup: Random samples before the first fit.
        refit: Evaluations between fits, each chosen by its own posterior sample.
        candidates: Children per generation.
    """

    saved = ("_numpy_rng", "_population", "_queue")

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
        self._numpy_rng = np.random.default_rng([seed, 0x7072_6564])
        self._population: list[Architecture] = []
        self._queue: list[Architecture] = []

    def propose(self) -> Architecture:
        """Return the next selected candidate; random until there are enough trials for a fit."""
        if not self._queue:
            trials = self._training_trials()
            if len(trials) < self.startup:
                return self.draw()
            self._queue = self._select(trials)
        if self._queue:
            return self._queue.pop(0)
        self.counts["replaced"] += 1  # no candidate is left
        return self.draw()

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return, alternating, the best by prediction and the best by value, which noise may have favoured."""
        told = [trial.architecture for trial in self.best_told(k)]
        if len(trials := self._training_trials()) < self.startup:
            return told
        architectures = [trial.architecture for trial in trials]
        predicted = self._features(architectures) @ self._fit(trials).coef_
        best = [architectures[index] for index in np.argsort(-predicted, kind="stable")[:k]]
        return list(dict.fromkeys(each for pair in zip(best, told, strict=True) for each in pair))[:k]

    def _training_trials(self) -> list[Trial]:
        """Return the training set of the predictor, in the order asked."""
        trials = sorted((t for t in self.told.values() if t.value is not None), key=lambda trial: trial.number)
        if len(trials) <= _MAX_TRIALS:
            return trials
        half = len(trials) - _MAX_TRIALS // 2
        best = sorted(trials[:half], key=lambda trial: trial.rank)[: _MAX_TRIALS // 2]
        return best + trials[half:]

    def _fit(self, trials: Sequence[Trial]) -> BayesianRidge:
        return BayesianRidge().fit(self._features([t.architecture for t in trials]), [t.value for t in trials])

    def _features(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return dummy-coded choices, ``(architectures, choices)``: one-hot without each gene's first."""
        codes = self.space.encode(architectures)
        features: NDArray[np.float64] = (codes[:, self._columns] == self._values).astype(np.float64)
        return features

    def _select(self, trials: Sequence[Trial]) -> list[Architecture]:
        """Evolve candidates on posterior samples, and return the best by each sample."""
        model = self._fit(trials)
        draws = self._numpy_rng.multivariate_normal(model.coef_, model.sigma_, size=self.refit, method="eigh")
        known = [*self._population, *(trial.architecture for trial in self.best_told(self.candidates))]
        pool = dict.fromkeys([*known, *self.feasible.sample(self.candidates, self._numpy_rng)])
        for _ in range(_GENERATIONS):
            parents = dict.fromkeys([*self._best_by_sample(list(pool), draws), *self._best_of_each_size(pool, model)])
            share = -(-self.candidates // len(parents))
            for parent in parents:
                pool |= dict.fromkeys(islice(self._neighbours.of(parent, self.rng, self._asked), share))
        self._population = self._best_of_each_size(pool, model)
        return [*self._unseen_sizes(), *self._best_by_sample([each for each in pool if each not in self._asked], draws)]

    def _unseen_sizes(self) -> list[Architecture]:
        """Return the best by prediction of each network choice that was never asked."""
        seen = {self._size(each) for each in self._asked}
        return [each for each in self._population if self._size(each) not in seen]

    def _size(self, architecture: Architecture) -> tuple[float, ...]:
        return tuple(getattr(architecture, d.name) for d in self.space.dimensions if d.scope == "network")

    def _best_of_each_size(self, pool: Iterable[Architecture], model: BayesianRidge) -> list[Architecture]:
        """Return the best by prediction of each network choice: mutations may not connect them through good ones."""
        architectures = list(pool)
        predicted = self._features(architectures) @ model.coef_
        best: dict[tuple[float, ...], Architecture] = {}
        for index in np.argsort(-predicted, kind="stable").tolist():
            each = architectures[index]
            best.setdefault(self._size(each), each)
        return list(best.values())

    def _best_by_sample(self, architectures: Sequence[Architecture], draws: NDArray[np.float64]) -> list[Architecture]:
        """Return each posterior sample's best architecture, without repeats."""
        if not architectures:
            return []
        scores = self._features(architectures) @ draws.T  # (architectures, draws)
        taken: dict[int, None] = {}
        for order in np.argsort(-scores, axis=0, kind="stable").T[: len(architectures)]:
            taken[next(index for index in order.tolist() if index not in taken)] = None
        return [architectures[index] for index in taken]
