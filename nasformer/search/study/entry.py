"""Entry: a stored trial, from proposal to result.

In Optuna's terms a proposal is a WAITING trial, one under evaluation is RUNNING, and a result makes it COMPLETE or
FAIL. Trials are written for Optuna's tools: parameters; costs and metrics as user attributes;
bounds as constraints, satisfied at 0 or below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from nasformer.architecture import Architecture
from nasformer.cost import Limits
from nasformer.search.evaluation import Trial
from nasformer.search.study.parameters import as_parameters

_ASKED = "nasformer:trial"
_RESULT = "nasformer:result"
WORKER = "nasformer:worker"


@dataclass(frozen=True, slots=True)
class Entry:
    """A trial in the study.

    Args:
        id: Optuna's trial id, unique in the storage.
        trial: The trial; without value or error until finished.
        state: Optuna's state.
        worker: The worker that evaluates or evaluated it.
    """

    id: int
    trial: Trial
    state: TrialState
    worker: str | None

    @property
    def finished(self) -> bool:
        """Whether it has a result."""
        return self.state.is_finished()

    @classmethod
    def read(cls, frozen: FrozenTrial) -> Entry | None:
        """Return the entry of an Optuna trial; None for a foreign trial, which the search did not propose."""
        attributes = frozen.user_attrs
        if _ASKED not in attributes:
            return None
        asked = attributes[_ASKED]
        trial = Trial(**{**asked, "architecture": Architecture.from_dict(asked["architecture"])}, value=None)
        if frozen.state.is_finished():
            trial = _with_result(trial, frozen)
        return cls(frozen._trial_id, trial, frozen.state, attributes.get(WORKER))


def _with_result(trial: Trial, frozen: FrozenTrial) -> Trial:
    told = frozen.user_attrs.get(_RESULT, {})
    value = frozen.values[0] if frozen.state == TrialState.COMPLETE and frozen.values else None
    error = told.get("error") or (None if value is not None else f"another program marked it {frozen.state.name}")
    return replace(trial, value=value, error=error, seconds=told.get("seconds", 0.0), metrics=told.get("metrics", {}))


class Ledger:
    """Reads and writes the entries of one study.

    Args:
        storage: Optuna's storage.
        study_id: Id of the study.
        distributions: Distributions of the canonical parameters.
        limits: Bounds by cost.
    """

    def __init__(
        self, storage: BaseStorage, study_id: int, distributions: Mapping[str, BaseDistribution], limits: Limits
    ) -> None:
        self._storage, self._study_id = storage, study_id
        self._distributions, self._limits = distributions, limits

    def entries(self, known: Mapping[int, Entry]) -> list[Entry]:
        """Return all entries in order of creation; ``known`` ones are not parsed again."""
        found = []
        for frozen in self._storage.get_all_trials(self._study_id, deepcopy=False):
            entry = known.get(frozen._trial_id) or Entry.read(frozen)
            if entry is not None:
                found.append(entry)
        return found

    def entry(self, trial_id: int) -> Entry:
        """Return the current state of one entry."""
        entry = Entry.read(self._storage.get_trial(trial_id))
        assert entry is not None
        return entry

    def propose(self, trial: Trial, worker: str | None) -> Entry:
        """Add a waiting trial, or one assigned to a worker."""
        parameters = as_parameters(trial.architecture)
        asked = {"number": trial.number, "batch": trial.batch, "architecture": trial.architecture.to_dict()}
        attributes = {_ASKED: {**asked, "costs": dict(trial.costs)}, **trial.costs}
        template = create_trial(
            state=TrialState.WAITING if worker is None else TrialState.RUNNING,
            params=parameters,
            distributions={name: self._distributions[name] for name in parameters},
            user_attrs=attributes if worker is None else {**attributes, WORKER: worker},
            system_attrs=_constraints(trial, self._limits),
        )
        return Entry(self._storage.create_new_trial(self._study_id, template), trial, template.state, worker)

    def assign(self, entry: Entry, worker: str) -> Entry:
        """Assign an unfinished trial to a worker, replacing any other."""
        self._storage.set_trial_user_attr(entry.id, WORKER, worker)
        if entry.state == TrialState.WAITING:
            self._storage.set_trial_state_values(entry.id, TrialState.RUNNING)
        return replace(entry, state=TrialState.RUNNING, worker=worker)

    def finish(self, entry: Entry, trial: Trial) -> None:
        """Write a result; the last write makes it count."""
        told = {"seconds": trial.seconds, "error": trial.error, "metrics": dict(trial.metrics)}
        for name, value in {_RESULT: told, **trial.metrics}.items():
            self._storage.set_trial_user_attr(entry.id, name, value)
        if trial.value is None:
            self._storage.set_trial_state_values(entry.id, TrialState.FAIL)
        else:
            self._storage.set_trial_state_values(entry.id, TrialState.COMPLETE, [trial.value])


def _constraints(trial: Trial, limits: Limits) -> dict[str, float]:
    found = {}
    for name, (low, high) in limits.items():
        if high is not None:
            found[f"constraints:{name} at most {high:.12g}"] = trial.costs[name] - high
        if low is not None:
            found[f"constraints:{name} at least {low:.12g}"] = low - trial.costs[name]
    return found
