"""TPE: Optuna's Tree-structured Parzen Estimator (Bergstra et al., NeurIPS 2011; multivariate, Falkner et al., 2018).

Every gene is an integer parameter, the index of its choice, so that neighbouring choices are near;
genes of layers beyond the depth do not exist. A suggestion outside the budget is moved to the nearest
architecture inside, and the estimator learns from where it was moved to.
"""

from __future__ import annotations

import logging
from collections import defaultdict

import optuna
from optuna.distributions import IntDistribution
from optuna.trial import Trial as OptunaTrial
from optuna.trial import TrialState, create_trial

from nasformer.architecture import Architecture
from nasformer.search import BaseStrategy
from nasformer.space import FeasibleSet

logging.getLogger("optuna.study").setLevel(logging.WARNING)


class Tpe(BaseStrategy):
    """Optuna's TPE sampler.

    Args:
        feasible: The set to search.
        seed: Of all randomness.
        evaluations: How many architectures the search will look at.
        batch_size: How many are asked at a time.
        startup: Random trials before the estimator takes over.
        candidates: Draws among which the estimator picks each suggestion.
    """

    max_proposals = 20

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
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=startup, n_ei_candidates=candidates, multivariate=True, group=True
        )
        self.startup = startup
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._open: dict[Architecture, list[OptunaTrial]] = defaultdict(list)

    def propose(self) -> Architecture:
        """Return the sampler's suggestion, moved into the budget; random draws at the start."""
        if len(self._asked) < self.startup:
            return self.draw()
        trial = self._study.ask()
        suggested = self._suggest(trial)
        if suggested in self.feasible:
            self._open[suggested].append(trial)
            return suggested
        self._study.tell(trial, state=TrialState.FAIL)
        return self.feasible.repair(suggested)

    def observe(self, architecture: Architecture, value: float | None) -> None:
        """Tell the sampler; what it did not suggest itself is added to what it knows."""
        trials = self._open.get(architecture)
        if trials:
            failed = TrialState.FAIL if value is None else None
            self._study.tell(trials.pop(), value, state=failed)
        elif value is not None:
            genes = self._genes(architecture)
            known = create_trial(value=value, params=genes, distributions={name: self._index(name) for name in genes})
            self._study.add_trial(known)

    def _suggest(self, trial: OptunaTrial) -> Architecture:
        def gene(name: str, key: str) -> float:
            index: int = trial.suggest_int(name, 0, self._index(name).high)
            value: float = getattr(self.space.codec, key)[index]
            return value

        depth = int(gene("depth", "depth"))
        layers = {
            key: [gene(key if tied else f"{key}.{layer}", key) for layer in range(depth)]
            for key, tied in self.space.codec.tied.items()
        }
        return Architecture(
            int(gene("embed_dim", "embed_dim")), tuple(map(int, layers["num_heads"])), tuple(layers["mlp_ratio"])
        )

    def _genes(self, architecture: Architecture) -> dict[str, int]:
        codec = self.space.codec
        genes = {
            "embed_dim": codec.embed_dim.index(architecture.embed_dim),
            "depth": codec.depth.index(architecture.depth),
        }
        for key, tied in codec.tied.items():
            for layer, value in enumerate(getattr(architecture, key)):
                genes[key if tied else f"{key}.{layer}"] = getattr(codec, key).index(value)
        return genes

    def _index(self, name: str) -> IntDistribution:
        return IntDistribution(0, len(getattr(self.space.codec, name.partition(".")[0])) - 1)
