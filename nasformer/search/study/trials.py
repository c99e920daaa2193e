"""Trials of a search as Optuna's: written for its tools, read back exactly.

Parameters are canonical, costs and metrics user attributes, and budget bounds constraints, satisfied at 0 or below. A
failed evaluation is a failed trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    return create_trial(
        state=state_of(trial),
        value=trial.value,
        params=parameters,
        distributions={name: distributions[name] for name in parameters},
        user_attrs=as_attributes(trial, retried_after),
        system_attrs=_constraints(trial, limits),
    )


def state_of(trial: Trial) -> TrialState:
    """Return Optuna's state of a finished trial."""
    return TrialState.FAIL if trial.value is None else TrialState.COMPLETE


def as_attributes(trial: Trial, retried_after: int | None) -> dict[str, Any]:
    """Return all of a trial but its value as user attributes."""
    asked: dict[str, Any] = {"number": trial.number, "batch": trial.batch, "architecture": trial.architecture.to_dict()}
    asked |= {"probe": True} if trial.probe else {}
    told = {"seconds": trial.seconds, "error": trial.error, "metrics": dict(trial.metrics)}
    again = {} if retried_after is None else {"retried_after": retried_after}
    return {ASKED: {**asked, "costs": dict(trial.costs)}, _RESULT: {**told, **again}, **trial.costs, **trial.metrics}


def read_trial(
    attributes: Mapping[str, Any], state: TrialState, values: Sequence[float] | None
) -> tuple[Trial, int | None] | None:
    """Return a trial and ``retried_after``; None if it is unfinished, or not of the search.

    A value without our result was told by plain Optuna to a study of nasformer 0.1, and counts.
    """
    asked, told = attributes.get(ASKED), attributes.get(_RESULT)
    if asked is None or not (state == TrialState.COMPLETE or (state == TrialState.FAIL and told)):
        return None
    told = dict(told or {})
    after, value = told.pop("retried_after", None), values[0] if state == TrialState.COMPLETE and values else None
    return Trial(**{**asked, **told, "architecture": Architecture.from_dict(asked["architecture"])}, value=value), after


def _constraints(trial: Trial, limits: Limits) -> dict[str, float]:
    found = {}
    for name, (low, high) in limits.items():
        if high is not None:
            found[f"constraints:{name} at most {high:.12g}"] = trial.costs[name] - high
        if low is not None:
            found[f"constraints:{name} at least {low:.12g}"] = low - trial.costs[name]
    return found
