"""Thompson sampling with an exact argmax: a model of additive effects, maximised over the feasible set.

Thompson (Biometrika 1933); for linear models Agrawal and Goyal, ICML 2013. Each ask samples effects from the
posterior of ``AdditiveModel`` and returns their feasible argmax, found exactly by dynamic programming, without
rejection or an inner search. The first architectures are a greedy D-optimal design from a pool (Fedorov, 1972), or
single-gene replacements of the largest network (``_sensitivity``). The last ask, if the number of evaluations is
known, and the recommendation use the posterior mean, which is robust to noise. Several budgets share the design and the
model: each is a feasible set of its own, and an ask is the argmax over the one in focus.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar

import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import RejectionError, StrategyError
from nasformer.search import BaseStrategy, Trial
from nasformer.space import FeasibleSet
from nasformer.strategies._additive_model import AdditiveModel, Array
from nasformer.strategies._residual import misfit
from nasformer.strategies._sensitivity import Sensitivities

_DESIGNS = ("d-optimal", "sensitivity")
_POOL = 200
_MIN_TRIALS = 3
_MAX_COMPARED = 1500
"""Maximal number of trials compared by posterior mean: the misfit takes cubic time."""


class Thompson(BaseStrategy):
    """Exact maximisation of posterior samples of an additive model.

    Args:
        feasible: The set to search.
        seed: Random seed.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask; each has its own posterior sample.
        startup: Size of the D-optimal design.
        design: "d-optimal", or "sensitivity": the single-gene replacements, at most half of the evaluations; where
            there are none, the D-optimal design.
    """

    uses_evaluations: ClassVar[bool] = True

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        startup: int = 20,
        design: str = "d-optimal",
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        if not isinstance(startup, int) or startup < 1:
            raise StrategyError(f"startup must be a whole number of at least 1, got {startup!r}", startup)
        if design not in _DESIGNS:
            raise StrategyError(f"design is {' or '.join(map(repr, _DESIGNS))}, got {design!r}", design)
        self.model = AdditiveModel(self.space.codec)
        self._numpy_rng = np.random.default_rng([seed, 0x7468_6F6D])
        self._rows: dict[Architecture, Array] = {}
        self._fitted = 0
        self._replacements: list[Architecture] = []
        if design == "sensitivity":
            replacements = Sensitivities(feasible, seed)
            self.probes = replacements.outside
            self._replacements = replacements.architectures[: None if evaluations is None else evaluations // 2]
        size = startup if evaluations is None else min(startup, -(-evaluations // 4))
        self._size, self._design = size, self._replacements[::-1] or None
        self._targets = [feasible]

    def focus(self, feasible: FeasibleSet) -> None:
        """Make the next asks and recommendations for a subset; those known before the first ask share the design."""
        self.target = feasible
        if self._targets == [self.feasible]:
            self._targets = [feasible]
        elif feasible not in self._targets:
            self._targets.append(feasible)

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return the design, then argmaxes; fewer than ``n`` until single-gene replacements are told."""
        asked = super().ask(n)
        self.keeps = sys.maxsize if set(asked) & set(self._replacements) else 1
        return asked

    def propose(self) -> Architecture | None:
        """Return the next of the design, else the argmax of a posterior sample."""
        if self._design is None:
            self._design = self._d_optimal(self._size)
        if self._design:
            return self._design.pop()
        if any(each not in self.told for each in self._replacements):
            return None
        if not self._fit():
            return self._random()
        last = self.evaluations is not None and len(self._asked) >= self.evaluations - len(self._targets)
        return self._argmax(self.model.mean_effects if last else self.model.draw(self._numpy_rng))

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the ``k`` evaluated architectures with the highest posterior mean."""
        if not self._fit():
            return super().recommend(k)
        told = [trial for trial in self.best_told(max(k, _MAX_COMPARED)) if not trial.dropped]
        if not told:  # probes alone, or other budgets
            return self.target.best(self.model.scores(self.model.mean_effects), k)
        codes = self.space.encode([trial.architecture for trial in told])
        means = self.model.predict(np.array([self._rows[trial.architecture] for trial in told]))
        means += misfit(codes, np.array([trial.value for trial in told]) - means)
        return [told[index].architecture for index in np.argsort(-means, kind="stable")[:k]]

    def _argmax(self, effects: Array) -> Architecture | None:
        try:
            best = self.target.best(self.model.scores(effects), 1, exclude=self._asked)
        except RejectionError:  # a black-box cost rejected too many
            best = []
        return best[0] if best else self._random()

    def _random(self) -> Architecture | None:
        """Return a random architecture of the target; None: a budget of several is exhausted."""
        if self.target is self.feasible:
            return self.draw()
        drawn = self.target.sample(_POOL, self._numpy_rng)
        return next((each for each in drawn if each not in self._asked), None)

    def _fit(self) -> bool:
        """Fit the model to the trials; False if there are too few."""
        trials = sorted((trial for trial in self.told.values() if trial.value is not None), key=lambda t: t.number)
        if len(trials) < _MIN_TRIALS:
            return False
        if len(trials) > self._fitted:
            unknown = [trial.architecture for trial in trials if trial.architecture not in self._rows]
            self._rows.update(zip(unknown, self.model.features(self.space.encode(unknown)), strict=True))
            rows = np.array([self._rows[trial.architecture] for trial in trials])
            self.model.fit(rows, np.array([trial.value for trial in trials]), _excess_variances(trials))
            self._fitted = len(trials)
        return True

    def _d_optimal(self, size: int) -> list[Architecture]:
        """Return a greedy D-optimal design from the pool of all targets, in reverse order."""
        share = -(-_POOL // len(self._targets))
        pool = list(dict.fromkeys(each for target in self._targets for each in self._pool(target, share)))
        if not pool:
            return []
        features = self.model.features(self.space.encode(pool))
        features -= features.mean(axis=0)
        order = self.model.d_optimal(features, min(size, len(pool)))
        return [pool[index] for index in reversed(order)]

    def _pool(self, feasible: FeasibleSet, size: int) -> list[Architecture]:
        """Return random samples and argmaxes of prior samples, which cover rare architectures."""
        pool: dict[Architecture, None] = {}
        with suppress(RejectionError):
            pool |= dict.fromkeys(feasible.sample(size, self._numpy_rng))
            for _ in range(size // 4 if feasible.countable else 0):  # else each evaluates black-box costs
                pool[feasible.argmax(self.model.scores(self.model.draw_prior(self._numpy_rng)))] = None
        return list(pool)


def _excess_variances(trials: Sequence[Trial]) -> Array:
    """Return the excess variance of values that a race dropped early, over the smallest variance."""
    variances = np.array([(trial.standard_error or 0.0) ** 2 for trial in trials])
    excess: Array = np.where([trial.dropped for trial in trials], variances - variances.min(), 0.0)
    return excess
