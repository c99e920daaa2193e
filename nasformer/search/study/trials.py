"""Trials of a search as Optuna's: written for its tools, read back exactly.

Parameters are canonical, costs and metrics user attributes, and budget bounds constraints, satisfied at 0 or below. A
failed evaluation is a failed trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nasformer.architecture import Architecture
from nasformer.cost import Limits
from nasformer.search.evaluation import Trial
from nasformer.search.study.parameters import as_parameters

ASKED = "nasformer:trial"
_RESULT = "nasformer:result"


def as_optuna(
    trial: Trial, distributions: Mapping[str, BaseDistribution], limits: Limits, retried_after: int | None
) -> FrozenTrial:
    """Return a finished trial as Optuna's.

    Args:
        trial: The trial.
        distributions: Those of the canonical parameters.
        limits: Bounds by cost.
        retried_after: See ``TrialStore.add``.
    """
    parameters = as_parameters(trial.architecture)
    asked = {"number": trial.number, "batch": trial.batch, "architecture": trial.architecture.to_dict()}
    told = {"seconds": trial.seconds, "error": trial.error, "metrics": dict(trial.metrics)}
    again = {} if retried_after is None else {"retried_after": retried_after}
    kept = {ASKED: {**asked, "costs": dict(trial.costs)}, _RESULT: {**told, **again}, **trial.costs, **trial.metrics}
    return create_trial(
        state=TrialState.FAIL if trial.value is None else TrialState.COMPLETE,
        value=trial.value,
        params=parameters,
        distributions={name: distributions[name] for name in parameters},
        user_attrs=kept,
        system_attrs=_constraints(trial, limits),
    )


def read_trial(frozen: FrozenTrial) -> tuple[Trial, int | None] | None:
    """Return a trial and ``retried_after``; None if it is unfinished, or not of the search.

    A value without our result was told by plain Optuna to a study of nasformer 0.1, and counts.
    """
    asked, told = frozen.user_attrs.get(ASKED), frozen.user_attrs.get(_RESULT)
    if asked is None or not (frozen.state == TrialState.COMPLETE or (frozen.state == TrialState.FAIL and told)):
        return None
    told = told or {}
    trial = Trial(**{**asked, "architecture": Architecture.from_dict(asked["architecture"])}, value=None)
    value = frozen.values[0] if frozen.state == TrialState.COMPLETE and frozen.values else None
    found = replace(
        trial, value=value, error=told.get("error"), seconds=told.get("seconds", 0.0), metrics=told.get("metrics", {})
    )
    return found, told.get("retried_after")


def _constraints(trial: Trial, limits: Limits) -> dict[str, float]:
    found = {}
    for name, (low, high) in limits.items():
        if high is not None:
            found[f"constraints:{name} at most {high:.12g}"] = trial.costs[name] - high
        if low is not None:
            found[f"constraints:{name} at least {low:.12g}"] = low - trial.costs[name]
    return found
