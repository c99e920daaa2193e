"""TPE: Optuna's Tree-structured Parzen Estimator (Bergstra et al., NeurIPS 2011; multivariate, Falkner et al., 2018).

Every gene is an integer parameter, the index of its choice, so that neighbouring choices are near; all
layers of the deepest architecture have genes, and those beyond the depth do nothing. A suggestion
outside the budget is moved to the nearest architecture inside, and the estimator learns from where it
was moved to.
"""

from __future__ import annotations

from collections import defaultdict

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import Trial as OptunaTrial
from optuna.trial import TrialState, create_trial

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.search import BaseStrategy
from nasformer.search.study import quiet
from nasformer.space import FeasibleSet


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
        for name, number, least in (("startup", startup, 0), ("candidates", candidates, 1)):
            if not isinstance(number, int) or number < least:
                raise StrategyError(f"{name} must be a whole number of at least {least}, got {number!r}", number)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, n_ei_candidates=candidates)
        self.startup = startup
        with quiet():
            self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._options = {
            name: len(getattr(self.space, key))
            for key in ("embed_dim", "depth", "num_heads", "mlp_ratio")
            for name in self._names(key, self.space.codec.max_depth)
        }
        self._distributions: dict[str, BaseDistribution] = {
            name: IntDistribution(0, options - 1) for name, options in self._options.items()
        }
        self._open: dict[Architecture, list[OptunaTrial]] = defaultdict(list)

    def propose(self) -> Architecture:
        """Return the sampler's suggestion, moved into the budget; random draws at the start."""
        if len(self._asked) < self.startup:
            return self.draw()
        trial = self._study.ask(self._distributions)
        suggested = self._read(trial.params)
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
            self._study.add_trial(create_trial(value=value, params=genes, distributions=self._distributions))

    def _names(self, key: str, layers: int) -> list[str]:
        tied = self.space.codec.tied.get(key, True)
        return [key] * layers if tied else [f"{key}.{layer}" for layer in range(layers)]

    def _read(self, genes: dict[str, int]) -> Architecture:
        codec = self.space.codec
        depth = codec.depth[genes["depth"]]
        heads = tuple(codec.num_heads[genes[name]] for name in self._names("num_heads", depth))
        ratios = tuple(codec.mlp_ratio[genes[name]] for name in self._names("mlp_ratio", depth))
        return Architecture(codec.embed_dim[genes["embed_dim"]], heads, ratios)

    def _genes(self, architecture: Architecture) -> dict[str, int]:
        """Return the parameters of an architecture; genes beyond its depth are drawn, since they do nothing."""
        codec = self.space.codec
        genes = {name: self.rng.randrange(options) for name, options in self._options.items()}
        genes["embed_dim"] = codec.embed_dim.index(architecture.embed_dim)
        genes["depth"] = codec.depth.index(architecture.depth)
        for key in codec.tied:
            for name, value in zip(self._names(key, architecture.depth), getattr(architecture, key), strict=True):
                genes[name] = getattr(codec, key).index(value)
        return genes
