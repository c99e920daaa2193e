"""Importance: the share of the value's variance per dimension and layer, by Optuna's evaluators.

Layers that some architectures lack are excluded: their parameters are conditional.
"""

from __future__ import annotations

import warnings

import optuna
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    MeanDecreaseImpurityImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from nasformer.errors import StudyError, did_you_mean
from nasformer.search.study.parameters import as_parameters, distributions
from nasformer.search.study.storage import quiet
from nasformer.search.study.study import Study

_MIN_TRIALS = 10
EVALUATORS = ("fanova", "mdi", "ped-anova")


def importances(study: Study, evaluator: str = "fanova") -> dict[str, float]:
    """Return the share of each canonical parameter, in the order of the network.

    Args:
        study: The study; trials added by other programs are ignored.
        evaluator: ``fanova``, ``mdi`` (both random forests) or ``ped-anova`` (importance for the best trials).

    Raises:
        StudyError: Too few trials with values, or an unknown evaluator.
    """
    if evaluator not in EVALUATORS:
        raise StudyError(f"unknown evaluator {evaluator!r}; {did_you_mean(evaluator, EVALUATORS)}", evaluator)
    trials = [trial for trial in study.trials() if trial.eligible]
    if len({trial.value for trial in trials}) < 2 or len(trials) < _MIN_TRIALS:
        raise StudyError(
            f"importance needs {_MIN_TRIALS} trials with values that differ, study {study.name!r} has {len(trials)}",
            study,
        )
    kinds = distributions(study.space)
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's experimental warnings
        copy = optuna.create_study(direction=StudyDirection.MAXIMIZE)
        for trial in trials:
            parameters = as_parameters(trial.architecture)
            own = {name: kinds[name] for name in parameters}
            copy.add_trial(
                create_trial(state=TrialState.COMPLETE, value=trial.value, params=parameters, distributions=own)
            )
        unconditional = [name for name in kinds if all(name in trial.params for trial in copy.trials)]
        found = get_param_importances(copy, evaluator=_make_evaluator(evaluator), params=unconditional)
    return {name: float(found[name]) for name in unconditional}


def _make_evaluator(evaluator: str) -> BaseImportanceEvaluator:
    if evaluator == "ped-anova":
        return PedAnovaImportanceEvaluator()
    if evaluator == "mdi":
        return MeanDecreaseImpurityImportanceEvaluator(seed=0)
    return FanovaImportanceEvaluator(seed=0)
