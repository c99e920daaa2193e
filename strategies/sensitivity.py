"""Sensitivity search: replace one gene of the largest network at a time, and sum the changes of the fitness.

After Puzzle (Bercovich et al., arXiv 2411.19146). The replacements are probes, whatever the budget. The architectures
with the highest sums within the budget, found exactly, are evaluated next. Then a regression of what the sums missed
(``AdditiveModel``) corrects them, and each further ask is the argmax under a posterior sample of it (Thompson 1933).
Where the sums do not hold is among the ``findings``. Changes of the loss, or of the divergence from the full network,
add up better than those of the accuracy.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np
from scipy.stats import kendalltau

from nasformer.architecture import Architecture
from nasformer.errors import RejectionError, StrategyError
from nasformer.search import BaseStrategy, Trial
from nasformer.space import FeasibleSet
from nasformer.space.scores import Scores
from nasformer.strategies._additive_model import AdditiveModel, Array
from nasformer.strategies._sensitivity import Sensitivities, least_additive

_MIN_TRIALS = 3


class Sensitivity(BaseStrategy):
    """Exact maximisation of summed sensitivities.

    Args:
        feasible: The set to search.
        seed: Sets the layer that is probed first, and the posterior samples.
        evaluations: Number of evaluations. Where they do not suffice for all probes and the candidates, values of each
            gene and layers are left out evenly, and interpolated.
        batch_size: Architectures per ask.
        candidates: Architectures that are evaluated by their sums alone, before these are corrected.
    """

    uses_evaluations: ClassVar[bool] = True
    saved = ("_numpy_rng", "_left", "_queue", "model")

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        candidates: int = 10,
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        if not isinstance(candidates, int) or candidates < 1:
            raise StrategyError(f"candidates must be a whole number of at least 1, got {candidates!r}", candidates)
        self.candidates = candidates
        self.sensitivities = Sensitivities(feasible, seed)
        self.probes = self.sensitivities.outside
        self._left = len(self.sensitivities.architectures)
        if evaluations is not None:
            most = evaluations - min(candidates, -(-evaluations // 2))
            exhausting = feasible.at_most() <= evaluations  # all of the set is evaluated anyway
            self._left = 0 if exhausting or most < 2 else min(self._left, most)
        self.model = AdditiveModel(self.space.codec)
        self._numpy_rng = np.random.default_rng([seed, 0x7365_6E73])
        self._queue = list(self.sensitivities.architectures)

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return the replacements, then the best by their sums; fewer than ``n`` until all replacements are told."""
        asked = super().ask(n)
        self.keeps = sys.maxsize if set(asked) & set(self.sensitivities.architectures) else 1
        return asked

    def propose(self) -> Architecture | None:
        """Return the next replacement, then the best by the sums, corrected once the candidates are told."""
        self._queue = [each for each in self._queue if each not in self._asked]
        if self._queue and self._left:
            self._left -= 1
            return self._queue.pop(0)
        if any(each in self._asked and each not in self.told for each in self.sensitivities.architectures):
            return None
        if (scores := self._scores()) is None:
            return self.draw()
        best = self.feasible.best(scores, 1, exclude=self._asked)
        return best[0] if best else self.draw()

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return the architectures of the ``k`` best trials; if none is feasible, the best by the sums."""
        found = super().recommend(k)
        if found or not self.told:
            return found
        with suppress(RejectionError):
            found = self.feasible.best(self.sensitivities.scores(self.told), k)
        return found

    def findings(self) -> dict[str, dict[str, Any]]:
        """Return how well the sums predicted the evaluated architectures."""
        trials = self._exact_trials()
        if len(trials) < _MIN_TRIALS or not self.sensitivities.known(self.told):
            return {}
        values = np.array([trial.value for trial in trials])
        predicted = self._predicted(trials)
        tau = float(kendalltau(predicted, values).statistic)
        return {
            "additivity": {
                "architectures": len(trials),
                "kendall_tau": None if np.isnan(tau) else tau,
                "median_error": float(np.median(values - predicted)),
                **least_additive(self.space.codec, [trial.architecture for trial in trials], values - predicted),
            }
        }

    def _scores(self) -> Scores | None:
        """Return the sums by choice, corrected by a posterior sample; None if nothing is known."""
        trials = self._exact_trials()
        informed = self.sensitivities.known(self.told)
        scores = self.sensitivities.scores(self.told)
        if len(trials) < max(self.candidates, _MIN_TRIALS):
            return scores if informed else None
        codes = self.space.encode([trial.architecture for trial in trials])
        self.model.fit(codes, np.array([trial.value for trial in trials]) - self._predicted(trials))
        missed = self.model.scores(self.model.draw(self._numpy_rng))
        return Scores({name: table + missed.tables[name] for name, table in scores.tables.items()})

    def _predicted(self, trials: list[Trial]) -> Array:
        """Return the value of the largest architecture plus the sums, ``(trials,)``."""
        scores, codec = self.sensitivities.scores(self.told), self.space.codec
        return self.sensitivities.top(self.told) + scores.evaluate(codec, codec.encode(t.architecture for t in trials))

    def _exact_trials(self) -> list[Trial]:
        """Return the feasible trials with a value of all images, in the order asked."""
        return sorted((t for t in self.told.values() if t.eligible and not t.dropped), key=lambda trial: trial.number)
