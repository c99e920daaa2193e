"""Thompson sampling with an exact argmax: a model of additive effects, maximised over the feasible set.

Thompson (Biometrika 1933); for linear models Agrawal and Goyal, ICML 2013. Each ask samples effects from the
posterior of ``AdditiveModel`` and finds their best feasible architectures exactly by dynamic programming, without
rejection or an inner search; a sample of what the effects do not explain decides among these. Of a small set, such as a
table, all architectures are candidates. The first architectures are a greedy D-optimal design from a pool (Fedorov,
1972), or single-gene replacements of the largest network (``_sensitivity``). The last ask, if the number of evaluations
is known, and the recommendation use the posterior mean, which is robust to noise. Several budgets share the design and
the model: each is a feasible set of its own, and an ask is the argmax over the one in focus.
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
from nasformer.space.codec import Codes
from nasformer.strategies._additive_model import AdditiveModel, Array
from nasformer.strategies._sensitivity import Sensitivities

_DESIGNS = ("d-optimal", "sensitivity")
_POOL = 200
_MIN_TRIALS = 3
_LISTED = 2000
"""Of a target of up to so many architectures, each is a candidate."""
_SAMPLED = 100
"""Number of candidates whose misfit is sampled jointly."""
_SPREAD = 0.5
"""Standard deviations of a posterior sample; the full posterior explores for longer than a search lasts."""
_RANKED = 40
"""Number of candidates of a larger target, the best by the effects."""


class Thompson(BaseStrategy):
    """Exact maximisation of posterior samples of an additive model with misfit.

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
    saved = ("_numpy_rng", "_design", "_fitted", "model")

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
        self._rows: dict[Architecture, Codes] = {}
        self._members: dict[FeasibleSet, tuple[Codes, dict[Architecture, int]]] = {}
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
        return self._argmax(0.0 if last else _SPREAD)

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the ``k`` evaluated architectures with the highest posterior mean; second the best by value."""
        if not self._fit():
            return super().recommend(k)
        told = [trial.architecture for trial in self.best_told(len(self.told)) if not trial.dropped]
        if not told:  # probes alone, or other budgets
            return self.target.best(self.model.scores(self.model.mean_effects), k)
        means = self.model.predict(np.array([self._rows[each] for each in told]), self.model.mean_effects)
        best = [told[index] for index in np.argsort(-means, kind="stable")[:k]]
        return list(dict.fromkeys([best[0], told[0], *best]))[:k]  # without noise, the best by value is the best

    def _argmax(self, spread: float) -> Architecture | None:
        """Return the best new architecture by a posterior sample of so many standard deviations; 0: by the mean."""
        effects = self.model.draw(self._numpy_rng, spread) if spread else self.model.mean_effects
        candidates = self._candidates(effects)
        if not len(candidates):
            return self._random()
        values = self.model.predict(candidates, effects)
        if spread:
            candidates = candidates[np.argsort(-values, kind="stable")[:_SAMPLED]]
            values = self.model.sample(candidates, effects, self._numpy_rng, spread)
        return self.space.decode(candidates[[values.argmax()]])[0]

    def _candidates(self, effects: Array) -> Codes:
        """Return all that is left of a small target; of a large one the best by the effects."""
        target = self.target
        if target.countable and target.count() <= _LISTED:
            if target not in self._members:
                codes = target.codes()
                self._members[target] = codes, dict(zip(self.space.decode(codes), range(len(codes)), strict=True))
            codes, places = self._members[target]
            left = np.ones(len(codes), dtype=bool)
            left[[places[each] for each in self._asked if each in places]] = False
            return codes[left]
        with suppress(RejectionError):  # a black-box cost rejected too many
            return self.space.encode(target.best(self.model.scores(effects), _RANKED, exclude=self._asked))
        return self.space.encode([])

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
        new = len(trials) - self._fitted
        if new or not self.model.is_fitted:
            unknown = [trial.architecture for trial in trials if trial.architecture not in self._rows]
            self._rows.update(zip(unknown, self.space.encode(unknown), strict=True))
            self._fitted = len(trials)
            codes = np.array([self._rows[trial.architecture] for trial in trials])
            values = np.array([trial.value for trial in trials])
            self.model.fit(codes, values, _excess_variances(trials), refine=new > 0)
        return True

    def _d_optimal(self, size: int) -> list[Architecture]:
        """Return a greedy D-optimal design from the pool of all targets, in reverse order."""
        share = -(-_POOL // len(self._targets))
        pool = list(dict.fromkeys(each for target in self._targets for each in self._pool(target, share)))
        if not pool:
            return []
        order = self.model.d_optimal(self.space.encode(pool), min(size, len(pool)))
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
