"""Study: the trials of a search on a storage, led by one process at a time.

A trial is one write, made when its evaluation is known: a kill between two writes loses only evaluations under way.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage

from nasformer._io import digest
from nasformer._provenance import library_version, processor, versions
from nasformer.cost import parse_constraints
from nasformer.errors import LeaderError, StudyError
from nasformer.search.evaluation import Trial
from nasformer.search.state import StrategyState
from nasformer.search.study.leader import LeaderLock
from nasformer.search.study.parameters import distributions
from nasformer.search.study.saved_state import SavedState
from nasformer.search.study.schema import check_attributes
from nasformer.search.study.settings import (
    ASYNCHRONOUS,
    CONFIRMED,
    FITNESS_SPEC,
    FORMAT,
    RERANKED,
    SETTINGS,
    TOTAL,
    WARM_START,
    check_format,
    compare,
    find,
)
from nasformer.search.study.storage import Store
from nasformer.search.study.trials import as_optuna, read_trial
from nasformer.search.trial_store import TrialStore
from nasformer.space import SearchSpace

_LOGGER = logging.getLogger(__name__)

Storage = Store | BaseStorage | str | Path


class Study(TrialStore):
    """The trials of a search on a storage, as of when it was opened and of what this process added.

    Args:
        store: The storage.
        study_id: Study id in the storage.
        name: Study name in the storage.
        leader: The lock of the process that runs it; None: it is only looked at.

    Attributes:
        space: The search space.
        settings: All settings that determine the search, as plain data.
        fitness_spec: How to rebuild the fitness and the latency table; empty where plain data cannot tell.
        limits: Bounds by cost; with several budgets, those that hold in all of them.
        budgets: Limits of each of several budgets; empty for one.
        evaluations: The latest total of evaluations.
        warm_start: Trials of earlier searches that the strategy was told first.
    """

    def __init__(self, store: Store, study_id: int, name: str, leader: LeaderLock | None = None) -> None:
        super().__init__()
        self.store, self.id, self.name, self._leader = store, study_id, name, leader
        kept = store.run(lambda: store.optuna.get_study_user_attrs(study_id))
        check_attributes(name, kept)
        with _named(name):
            self._take(kept)

    def _take(self, kept: Mapping[str, Any]) -> None:
        self.settings, self.fitness_spec = kept[SETTINGS], kept.get(FITNESS_SPEC, {})
        self.space = SearchSpace.from_dict(self.settings["space"])
        self.asynchronous = bool(kept.get(ASYNCHRONOUS))
        self.evaluations: int = kept.get(TOTAL, self.settings["evaluations"])
        self.warm_start = tuple(map(Trial.from_dict, kept.get(WARM_START, ())))
        self._confirmation: Mapping[str, Any] = kept.get(CONFIRMED) or {}
        for key, reranked in kept.get(RERANKED, {}).items():
            self._reranked[key] = [Trial.from_dict(each) for each in reranked]
        self._distributions = distributions(self.space)
        further = dict.fromkeys(self.settings.get("costs", {}))  # beyond parameters and MACs; not rounded again
        self.limits = parse_constraints(self.settings["limits"], further) if self.settings.get("limits") else {}
        self.budgets = tuple(parse_constraints(line, further) for line in self.settings.get("budgets", ()))

    @classmethod
    def begin(
        cls,
        storage: Storage,
        name: str,
        settings: Mapping[str, Any],
        fitness_spec: Mapping[str, Any] | None = None,
        warm_start: Sequence[Trial] = (),
        wait: bool = False,
    ) -> Study:
        """Lead the study of a search: created, or continued if it exists with the same settings.

        Args:
            storage: The storage.
            name: Study name.
            settings: All settings that determine the search; ``evaluations`` may change.
            fitness_spec: Stored with a new study.
            warm_start: Trials of earlier searches, stored with a new study.
            wait: Whether to wait for another process that leads it.

        Raises:
            StudyError: The storage cannot be opened, another process leads the study, it has other settings, or a
                setting is not plain data.
        """
        store = storage if isinstance(storage, Store) else Store(storage)
        plain = _plain({"format": FORMAT, **settings})
        leader = store.run(lambda: store.leader(name))
        _acquire(store, leader, wait)
        try:
            attributes: dict[str, Any] = {FITNESS_SPEC: dict(fitness_spec or {})}
            attributes |= {WARM_START: [trial.to_dict() for trial in warm_start]} if warm_start else {}
            check_attributes(name, {SETTINGS: plain, **attributes})
            attributes[SETTINGS] = {"package": library_version(), **plain}  # last: without them it is not ours
            study_id, kept = store.run(lambda: _create(store, name, attributes))
            check_format(name, kept)
            compare(name, kept, plain)
            study = cls(store, study_id, name, leader)
            study._read()
            study._extend(plain["evaluations"])
            study._check_warm_start(warm_start)
        except BaseException:
            leader.release()
            raise
        return study

    @classmethod
    def load(cls, storage: Storage, name: str | None = None, trials: bool = True) -> Study:
        """Return an existing study to look at, with its trials or without; without a name, the only one in the storage.

        Raises:
            StudyError: There is no such study, or nasformer did not make it.
        """
        store = storage if isinstance(storage, Store) else Store(storage, create=False)
        found, kept = find(store, name)
        if SETTINGS not in kept:
            raise StudyError(f"study {found!r} in {store.name!r} was not made by nasformer", found)
        check_format(found, kept[SETTINGS])
        study = cls(store, store.run(lambda: store.optuna.get_study_id_from_name(found)), found)
        if trials:
            study._read()
        return study

    def close(self) -> None:
        """Let another process lead it."""
        if self._leader is not None:
            self._leader.release()

    def add(self, trial: Trial, retried_after: int | None = None) -> None:
        """Store a trial durably; see ``TrialStore.add``."""
        assert self._leader is not None, "a study that is only looked at does not change"
        made = as_optuna(trial, self._distributions, self.limits, retried_after)
        self._write(lambda storage: storage.create_new_trial(self.id, made))
        super().add(trial, retried_after)

    def set_asynchronous(self) -> None:
        """Make the search asynchronous; cannot be undone."""
        if not self.asynchronous:
            self.set(ASYNCHRONOUS, True)
        super().set_asynchronous()

    def confirmation(self, trials: int | None = None) -> tuple[Trial, ...]:
        """Return the stored confirmation of the first so many trials, or of all; empty if there is none."""
        same = all(self._confirmation.get(key, 0) == count for key, count in self._counts(trials).items())
        return tuple(map(Trial.from_dict, self._confirmation.get("confirmed", ()))) if same else ()

    def confirm(self, trials: int, judge: Callable[[], Sequence[Trial]], how: str = "") -> tuple[Trial, ...]:
        """Return the stored confirmation of the first so many trials, made if absent or not made so."""
        if (found := self.confirmation(trials)) and self._confirmation.get("how", "") == how:
            return found
        made = tuple(judge())
        if trials >= len(self.recorded):  # not for a look back
            self._confirmation = {**self._counts(trials), "how": how, "confirmed": [trial.to_dict() for trial in made]}
            self.set(CONFIRMED, self._confirmation)
        return made

    def add_reranked(self, key: str, trial: Trial) -> None:
        """Store a re-ranked trial durably."""
        super().add_reranked(key, trial)
        self.set(RERANKED, {key: [each.to_dict() for each in kept] for key, kept in self._reranked.items()})

    def state(self) -> StrategyState | None:
        """Return the saved state of the strategy, if it was saved for the same settings, trials and versions."""
        found = SavedState(self.store, self.id, self.name).read()
        return found[0] if found and found[1] == self._record(found[0]) else None

    def save_state(self, state: StrategyState) -> None:
        """Save the state of the strategy, in place of the former."""
        SavedState(self.store, self.id, self.name).write(state, self._record(state))

    def _record(self, state: StrategyState) -> str:
        """Return the digest of all that a state depends on."""
        first = [self.recorded[number].to_dict() for number in sorted(self.recorded)[: state.trials]]
        again = [(trial.to_dict(), after) for trial, after in self.retried[: state.retried]]
        warm = [trial.to_dict() for trial in self.warm_start]
        return digest([self.settings, warm, first, again, versions("scipy", "scikit-learn"), processor()])

    def _counts(self, trials: int | None) -> dict[str, int]:
        told = len(self.recorded) if trials is None else trials
        return {"trials": told, "retried": sum(after <= told for _, after in self.retried)}

    def _read(self) -> None:
        for frozen in self.store.run(lambda: self.store.optuna.get_all_trials(self.id, deepcopy=False)):
            with _named(f"{self.name}, trial {frozen.number}"):
                if (found := read_trial(frozen.user_attrs, frozen.state, frozen.values)) is not None:
                    super().add(*found)

    def set(self, key: str, value: object) -> None:
        """Store an attribute of the study."""
        self._write(lambda storage: storage.set_study_user_attr(self.id, key, value))

    def _write(self, change: Callable[[BaseStorage], object]) -> None:
        def body() -> None:
            if self._leader is not None and self._leader.renew():
                self._require_unchanged()
            change(self.store.optuna)

        self.store.run(body)

    def _require_unchanged(self) -> None:
        """Raise LeaderError if another process led while the lock was lost; one write may be ours, made unnoticed."""
        stored = self.store.optuna.get_all_trials(self.id, deepcopy=False)
        found = sum(read_trial(each.user_attrs, each.state, each.values) is not None for each in stored)
        if found > len(self.recorded) + len(self.retried) + 1:
            raise LeaderError(f"study {self.name!r} was led by another process meanwhile; run it again", self.name)

    def _extend(self, evaluations: int) -> None:
        if evaluations > self.evaluations:
            self.set(TOTAL, evaluations)
            self.evaluations = evaluations

    def _check_warm_start(self, trials: Sequence[Trial]) -> None:
        if trials and not self.warm_start:
            raise StudyError(
                f"study {self.name!r} was begun without warm start; leave it out to continue, or choose another name",
                self.name,
            )
        if trials and tuple(trials) != self.warm_start:
            _LOGGER.warning("study %r keeps the warm start that it was begun with", self.name)


def _acquire(store: Store, leader: LeaderLock, wait: bool) -> None:
    """Take the leader's lock, at once or when it is free."""
    told = False
    while True:
        try:
            store.run(leader.acquire)
        except LeaderError as held:
            if not wait:
                raise
            if not told:
                _LOGGER.warning("waiting: %s", str(held).partition(";")[0])
                told = True
            time.sleep(0.5)
        else:
            return


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Name a study whose data do not mean what they should."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"study {what} is damaged: {type(error).__name__}: {error}", what) from error


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings after a JSON round trip, as a storage returns them."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(settings))
    except (TypeError, ValueError) as error:
        raise StudyError(
            f"the settings of a search are stored, so options must be numbers, strings, lists or mappings: {error}",
            settings,
        ) from error
    return plain


def _create(store: Store, name: str, attributes: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the study's number and settings; a new study gets the attributes."""
    study_id = store.study_id(name)
    kept = store.optuna.get_study_user_attrs(study_id)
    if SETTINGS not in kept:
        for key, value in attributes.items():
            store.optuna.set_study_user_attr(study_id, key, value)
        kept = dict(attributes)
    return study_id, kept[SETTINGS]
