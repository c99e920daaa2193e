"""Optuna: any of its samplers (Akiba et al., KDD 2019), as ``optuna:NAME`` or by the option ``sampler``.

Every gene is an integer parameter, its choice index. Infeasible suggestions are repaired to the nearest feasible
architecture, and those of TPE that were asked before moved to the nearest new one; the sampler observes that point, as
it does the random samples that replace its first suggestions. Samplers whose package is missing are rejected by name.
"""

from __future__ import annotations

import inspect
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna.trial import Trial as OptunaTrial

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError, did_you_mean
from nasformer.search import BaseStrategy
from nasformer.search.study import quiet
from nasformer.space import FeasibleSet
from nasformer.strategies._genes import Genes

_EXTRAS = ("cmaes",)
_WARNINGS = ("warn_independent_sampling", "warn_asynchronous_seeding")


class Optuna(BaseStrategy):
    """A sampler of Optuna.

    Args:
        feasible: The set to search.
        seed: Random seed.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask.
        sampler: Its name in ``optuna.samplers``.
        startup: Random samples before the sampler takes over.
        **options: Options of the sampler.
    """

    max_proposals = 8
    variant: ClassVar[str | None] = "sampler"
    directions: ClassVar[tuple[StudyDirection, ...]] = (StudyDirection.MAXIMIZE,)
    categorical: ClassVar[bool] = False
    """Whether genes are categorical rather than ordinal."""

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        sampler: str = "TPESampler",
        startup: int = 10,
        **options: Any,
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        if not isinstance(startup, int) or startup < 0:
            raise StrategyError(f"startup must be a whole number of at least 0, got {startup!r}", startup)
        self.sampler, self.startup = sampler, startup
        factory = _sampler(sampler)
        known = inspect.signature(factory).parameters
        _check_options(sampler, known, options)
        chosen = {"seed": seed, "n_startup_trials": startup, **dict.fromkeys(_WARNINGS, False), **options}
        instance = self._call(factory, **{name: value for name, value in chosen.items() if name in known})
        with quiet():
            self._study = optuna.create_study(directions=self.directions, sampler=instance)
        self._study.stop = self._stop  # type: ignore[method-assign]  # called by enumerating samplers when exhausted
        self._stopped = False
        self._genes = Genes(self.space)
        self._distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(range(choices)) if self.categorical else IntDistribution(0, choices - 1)
            for name, choices in self._genes.choices.items()
        }
        self._pending: dict[Architecture, list[OptunaTrial | FrozenTrial]] = defaultdict(list)

    def propose(self) -> Architecture:
        """Return the sampler's suggestion, or the nearest new feasible architecture; random at the start."""
        if self._stopped:
            self.counts["replaced"] += 1
            return self.draw()
        trial = self._call(self._study.ask, self._distributions)
        suggested = self._genes.decode(trial.params)
        architecture = self.draw() if len(self._asked) < self.startup else self.repair(suggested)
        if architecture in self._asked and self.sampler == "TPESampler":  # whose suggestions are slow
            self.counts["duplicates"] += 1
            architecture = self.repair(suggested, new=True)
        if architecture != suggested and architecture not in self._asked:
            trial = self._call(self._study.tell, trial, state=TrialState.FAIL)
        self._pending[architecture].append(trial)
        return architecture

    def _stop(self) -> None:
        self._stopped = True

    def observe(self, architecture: Architecture, value: float | None) -> None:
        """Tell the sampler; points that it did not suggest are added as trials."""
        waiting = self._pending.get(architecture)
        trial = waiting.pop() if waiting else None
        if isinstance(trial, OptunaTrial):
            values = None if value is None else self.objectives(architecture, value)
            self._call(self._study.tell, trial, values, state=TrialState.FAIL if value is None else None)
        elif value is not None:
            added = create_trial(
                values=self.objectives(architecture, value),
                params=self._genes.encode(architecture, self.rng),
                distributions=self._distributions,
                system_attrs=trial.system_attrs if trial else None,  # such as a genetic sampler's generation
            )
            self._call(self._study.add_trial, added)

    def objectives(self, architecture: Architecture, value: float) -> list[float]:
        """Return the objectives in the directions of the class: the value."""
        return [value]

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call Optuna and convert its errors, such as a missing package or an invalid option."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Optuna's experimental warnings do not concern the caller
                return function(*arguments, **options)
        except ImportError as error:
            package = error.name or " ".join(str(error).split())
            install = f"'nasformer[{package}]'" if package in _EXTRAS else package
            raise StrategyError(
                f"Optuna's {self.sampler} needs a package that is missing: pip install {install}", self.sampler
            ) from error
        except Exception as error:
            reason = " ".join(str(error).split())
            raise StrategyError(
                f"Optuna's {self.sampler} cannot be used: {type(error).__name__}: {reason}", self.sampler
            ) from error


def _sampler(name: str) -> Callable[..., BaseSampler]:
    named = {each: getattr(optuna.samplers, each) for each in optuna.samplers.__all__}
    usable = {
        each: value
        for each, value in named.items()
        if isinstance(value, type) and issubclass(value, BaseSampler) and not inspect.isabstract(value)
    }
    if name not in usable:
        raise StrategyError(f"Optuna has no sampler {name!r}; {did_you_mean(name, usable)}", name)
    factory: Callable[..., BaseSampler] = usable[name]
    return factory


def _check_options(sampler: str, known: Any, options: dict[str, Any]) -> None:
    for name in options:
        if name not in known:
            raise StrategyError(f"Optuna's {sampler} has no option {name!r}; {did_you_mean(name, known)}", options)
    required = [name for name, parameter in known.items() if parameter.default is parameter.empty]
    if missing := [name for name in required if name not in options]:
        raise StrategyError(f"Optuna's {sampler} cannot be made without {' and '.join(missing)}", sampler)
