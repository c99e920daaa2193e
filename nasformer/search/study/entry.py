"""Entry: a trial of a search as the study holds it, from the proposal to the result.

In Optuna's words a proposal is a trial that waits, one that is evaluated runs, and a result completes it or lets
it fail. What Optuna's tools show is written as they expect it: parameters, costs and metrics as attributes,
bounds as constraints that are met at 0 or below.
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
        id: Optuna's, unique in the storage.
        trial: The trial; without a value or an error until it is finished.
        state: Optuna's.
        worker: Who evaluates it, or did.
    """

    id: int
    trial: Trial
    state: TrialState
    worker: str | None

    @property
    def finished(self) -> bool:
        """Whether its result is known."""
        return self.state.is_finished()

    @classmethod
    def read(cls, frozen: FrozenTrial) -> Entry | None:
        """Return what a trial of Optuna's says; None where the search did not propose it."""
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
    """How entries of one study are written.

    Args:
        storage: Optuna's.
        study_id: Of the study.
        distributions: Of the canonical parameters.
        limits: Bounds by cost.
    """

    def __init__(
        self, storage: BaseStorage, study_id: int, distributions: Mapping[str, BaseDistribution], limits: Limits
    ) -> None:
        self._storage, self._study_id = storage, study_id
        self._distributions, self._limits = distributions, limits

    def entries(self, known: Mapping[int, Entry]) -> list[Entry]:
        """Return all entries in the order they were made; those that are known are not parsed again."""
        found = []
        for frozen in self._storage.get_all_trials(self._study_id, deepcopy=False):
            entry = known.get(frozen._trial_id) or Entry.read(frozen)
            if entry is not None:
                found.append(entry)
        return found

    def entry(self, trial_id: int) -> Entry:
        """Return one entry as it is now."""
        entry = Entry.read(self._storage.get_trial(trial_id))
        assert entry is not None
        return entry

    def propose(self, trial: Trial, worker: str | None) -> Entry:
        """Add a trial that waits, or that a worker evaluates at once."""
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
        """Give an unfinished trial to a worker, whoever had it."""
        self._storage.set_trial_user_attr(entry.id, WORKER, worker)
        if entry.state == TrialState.WAITING:
            self._storage.set_trial_state_values(entry.id, TrialState.RUNNING)
        return replace(entry, state=TrialState.RUNNING, worker=worker)

    def finish(self, entry: Entry, trial: Trial) -> None:
        """Write a result; it counts from the last line on."""
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
