"""TPE: Optuna's Tree-structured Parzen Estimator (Bergstra et al., NeurIPS 2011; multivariate, Falkner et al., 2018).

The strategy ``optuna:TPESampler`` under its usual name, with its two main options. Genes are categorical, not
integers: as good here, in a fraction of the time (``benchmarks/encodings.py``). Each suggestion is of a new sampler
with its own seed: it depends on the told trials alone, so that a search goes on from these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.search import Trial
from nasformer.search.study import quiet
from nasformer.space import FeasibleSet
from nasformer.strategies.optuna import Optuna


class _Sampler(TPESampler):
    """TPE over parameters that every trial has; a new ``TPESampler`` reads all trials to find these."""

    def __init__(self, parameters: Mapping[str, BaseDistribution], **options: Any) -> None:
        super().__init__(**options)
        self._parameters = dict(sorted(parameters.items()))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all parameters."""
        return self._parameters


class Tpe(Optuna):
    """Optuna's TPE sampler.

    Args:
        feasible: The set to search.
        seed: Random seed.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask.
        startup: Random samples before the estimator takes over.
        candidates: Candidates per suggestion, ranked by the acquisition function.
    """

    saved = ()
    variant = None
    categorical = True

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        startup: int = 10,
        candidates: int = 24,
    ) -> None:
        if not isinstance(candidates, int) or candidates < 1:
            raise StrategyError(f"candidates must be a whole number of at least 1, got {candidates!r}", candidates)
        super().__init__(
            feasible,
            seed=seed,
            evaluations=evaluations,
            batch_size=batch_size,
            sampler="TPESampler",
            startup=startup,
            n_ei_candidates=candidates,
        )
        self.candidates = candidates

    def propose(self) -> Architecture:
        """Return the suggestion of a new sampler; see ``Optuna``."""
        options = {"n_startup_trials": self.startup, "n_ei_candidates": self.candidates}
        seed = self.rng.getrandbits(32)
        self._study.sampler = self._call(_Sampler, self._distributions, seed=seed, **options)
        return super().propose()

    def state(self) -> dict[str, Any] | None:
        """Return the state with the points that the estimator knows, in order: genes and value."""
        base, known = super().state(), self._study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        points = [[*(trial.params[name] for name in self._distributions), trial.value] for trial in known]
        return None if base is None else {**base, "points": points}

    def restore(self, state: Mapping[str, Any], trials: Sequence[Trial]) -> None:
        """Set the state of a new instance, and the trials told until then."""
        added = []
        for *genes, value in state["points"][len(self._study.trials) :]:  # those of a warm start are known
            params = dict(zip(self._distributions, genes, strict=True))
            added.append(create_trial(params=params, distributions=self._distributions, value=float(value)))
        super().restore(state, trials)
        with quiet():
            study = optuna.create_study(directions=self.directions)
        study.add_trials([*self._study.get_trials(deepcopy=False), *added])
        self._study = study
