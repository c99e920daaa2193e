"""TPE: Optuna's Tree-structured Parzen Estimator (Bergstra et al., NeurIPS 2011; multivariate, Falkner et al., 2018).

The strategy ``optuna:TPESampler`` under its usual name, with its two main options. Genes are categorical, not
integers: as good here, in a fraction of the time (``benchmarks/encodings.py``).
"""

from __future__ import annotations

from nasformer.errors import StrategyError
from nasformer.space import FeasibleSet
from nasformer.strategies.optuna import Optuna


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
