"""Thompson sampling with an exact argmax: a model of additive effects, maximised over the feasible set.

Thompson (Biometrika 1933); for linear models Agrawal and Goyal, ICML 2013. Each ask draws effects from the
posterior of ``AdditiveModel`` and returns the feasible architecture that they make best, which dynamic
programming finds exactly, so nothing is lost to rejection or to an inner search. The first architectures are a
design: those of a pool about which the prior knows least, one after the other (greedy D-optimality,
Fedorov, 1972). The last ask, where the number of evaluations is known, and the recommendation go by the
posterior mean, so that noise does not crown a lucky one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import RejectionError, StrategyError
from nasformer.search import BaseStrategy, Trial
from nasformer.space import FeasibleSet
from nasformer.strategies._additive_model import AdditiveModel, Array
from nasformer.strategies._residual import misfit

_POOL = 200
_LEAST_TOLD = 3
_MOST_RECOMMENDED = 1500
"""Of more told, the best so many compete: telling misfit from noise takes the cube of their number."""


class Thompson(BaseStrategy):
    """Posterior draws of additive effects, each maximised exactly.

    Args:
        feasible: The set to search.
        seed: Of all randomness.
        evaluations: How many architectures the search will look at.
        batch_size: How many are asked at a time; each is the best of a draw of its own.
        startup: Size of the first design.
    """

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        startup: int = 20,
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        if not isinstance(startup, int) or startup < 1:
            raise StrategyError(f"startup must be a whole number of at least 1, got {startup!r}", startup)
        self.model = AdditiveModel(self.space.codec)
        self._numbers = np.random.default_rng([seed, 0x7468_6F6D])
        self._rows: dict[Architecture, Array] = {}
        self._fitted = 0
        self._design = self._spread(startup if evaluations is None else min(startup, -(-evaluations // 4)))

    def propose(self) -> Architecture:
        """Return the next of the design, else the best architecture under a draw of the posterior."""
        if self._design:
            return self._design.pop()
        if not self._learn():
            return self.draw()
        last = self.evaluations is not None and len(self._asked) >= self.evaluations - 1
        return self._best(self.model.mean_effects if last else self.model.draw(self._numbers))

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the ``k`` told with the highest posterior mean."""
        if not self._learn():
            return super().recommend(k)
        told = [trial for trial in self.best_told(max(k, _MOST_RECOMMENDED)) if not trial.dropped]
        codes = self.space.encode([trial.architecture for trial in told])
        means = self.model.predict(np.array([self._rows[trial.architecture] for trial in told]))
        means += misfit(codes, np.array([trial.value for trial in told]) - means)
        return [told[index].architecture for index in np.argsort(-means, kind="stable")[:k]]

    def _best(self, effects: Array) -> Architecture:
        try:
            best = self.feasible.best(self.model.scores(effects), 1, exclude=self._asked)
        except RejectionError:  # a cost that can only be tried left too few
            best = []
        return best[0] if best else self.draw()

    def _learn(self) -> bool:
        """Fit the model to what was told; False where that is too little."""
        trials = sorted((trial for trial in self.told.values() if trial.value is not None), key=lambda t: t.number)
        if len(trials) < _LEAST_TOLD:
            return False
        if len(trials) > self._fitted:
            unknown = [trial.architecture for trial in trials if trial.architecture not in self._rows]
            self._rows.update(zip(unknown, self.model.features(self.space.encode(unknown)), strict=True))
            rows = np.array([self._rows[trial.architecture] for trial in trials])
            self.model.fit(rows, np.array([trial.value for trial in trials]), _own_errors(trials))
            self._fitted = len(trials)
        return True

    def _spread(self, size: int) -> list[Architecture]:
        """Return architectures that the prior is unsure of, each given those before; the first comes last."""
        pool = self._pool()
        if not pool:
            return []
        features = self.model.features(self.space.encode(pool))
        features -= features.mean(axis=0)
        order = self.model.least_known(features, min(size, len(pool)))
        return [pool[index] for index in reversed(order)]

    def _pool(self) -> list[Architecture]:
        """Return random draws and, as those miss what is rare, the best under draws of the prior."""
        pool: dict[Architecture, None] = {}
        with suppress(RejectionError):
            pool |= dict.fromkeys(self.feasible.sample(_POOL, self._numbers))
            for _ in range(_POOL // 4 if self.feasible.countable else 0):  # else each would be asked its cost
                pool[self.feasible.argmax(self.model.scores(self.model.draw_prior(self._numbers)))] = None
        return list(pool)


def _own_errors(trials: Sequence[Trial]) -> Array:
    """Return the variance that values have beyond that of the surest, for those that a race dropped early."""
    variances = np.array([(trial.standard_error or 0.0) ** 2 for trial in trials])
    own: Array = np.where([trial.dropped for trial in trials], variances - variances.min(), 0.0)
    return own
