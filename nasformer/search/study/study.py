"""Study: a search on a storage, shared by any number of processes.

Every change is an exclusive read-modify-write transaction, so a trial is proposed once, claimed by one worker, and
told at most once, by the worker that holds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from nasformer._provenance import library_version
from nasformer.architecture import Architecture
from nasformer.cost import Limits
from nasformer.errors import DriftError, StudyError
from nasformer.search.evaluation import Trial
from nasformer.search.study.crew import WorkerRegistry
from nasformer.search.study.entry import Entry, Ledger
from nasformer.search.study.parameters import distributions
from nasformer.search.study.settings import ASYNCHRONOUS, FITNESS_SPEC, FORMAT, SETTINGS, check_format, compare, find
from nasformer.search.study.storage import Store, quiet
from nasformer.search.trial_store import Share
from nasformer.space import SearchSpace


class Study:
    """The trials of a search on a storage.

    Args:
        store: The storage.
        study_id: Study id in the storage.
        name: Study name in the storage.
        space: The search space.
        settings: All settings that determine the search, as plain data.
        fitness_spec: How to rebuild the fitness and the latency table; empty where plain data cannot tell.
        limits: Bounds by cost, shown as constraints of new trials.

    Attributes:
        workers: The processes that share it, including this one.
    """

    def __init__(
        self,
        store: Store,
        study_id: int,
        name: str,
        space: SearchSpace,
        settings: Mapping[str, Any],
        fitness_spec: Mapping[str, Any],
        limits: Limits | None = None,
    ) -> None:
        self.store, self.id, self.name, self.space = store, study_id, name, space
        self.settings, self.fitness_spec = settings, fitness_spec
        self.workers = WorkerRegistry(store, study_id)
        self._ledger = Ledger(store.optuna, study_id, distributions(space), limits or {})
        self._known: dict[int, Entry] = {}
        self._entries: dict[int, Entry] = {}
        store.read(self._refresh)

    @classmethod
    def begin(
        cls,
        storage: Store | str | Path | None,
        name: str,
        space: SearchSpace,
        settings: Mapping[str, Any],
        limits: Limits | None = None,
        fitness_spec: Mapping[str, Any] | None = None,
    ) -> Study:
        """Return the study of a search: created, or continued if it exists with the same settings.

        Raises:
            StudyError: The storage cannot be opened, the study has other settings, or a setting is not plain data.
        """
        store = storage if isinstance(storage, Store) else Store(storage)
        plain = _plain({"format": FORMAT, **settings})
        study_id, kept, how = store.change(None, lambda: _begin(store.optuna, name, plain, dict(fitness_spec or {})))
        check_format(name, kept)
        compare(name, kept, plain)
        return cls(store, study_id, name, space, kept, how, limits)

    @classmethod
    def load(cls, storage: Store | str | Path, name: str | None = None) -> Study:
        """Return an existing study; without a name, the only one in the storage.

        Raises:
            StudyError: There is no such study, or nasformer did not make it.
        """
        store = storage if isinstance(storage, Store) else Store(storage, create=False)
        found, kept = store.read(lambda: find(store, name))
        if SETTINGS not in kept:
            raise StudyError(f"study {found!r} in {store.name!r} was not made by nasformer", found)
        check_format(found, kept[SETTINGS])
        study_id = store.read(lambda: store.optuna.get_study_id_from_name(found))
        space = SearchSpace.from_dict(kept[SETTINGS]["space"])
        return cls(store, study_id, found, space, kept[SETTINGS], kept.get(FITNESS_SPEC, {}))

    def trials(self) -> list[Trial]:
        """Return the finished trials by number, without duplicates."""
        self.store.read(self._refresh)
        return [entry.trial for _, entry in sorted(self._entries.items()) if entry.finished]

    def entries(self) -> list[Entry]:
        """Return all trials by number, finished or not."""
        self.store.read(self._refresh)
        return [entry for _, entry in sorted(self._entries.items())]

    def size(self) -> int:
        """Return the number of trials, finished or not, as of the last refresh."""
        return len(self._entries)

    def recorded(self, first: int) -> list[Trial]:
        """Return the stored trials, finished or not, of the batch that starts with a trial."""
        found = [entry.trial for number, entry in sorted(self._entries.items()) if number >= first]
        return [trial for trial in found if trial.batch == found[0].batch]

    def claim(self, proposed: Sequence[Trial], whole: bool = False, polling: bool = False) -> Share:
        """Add the missing trials of a batch, and claim a fair share of the unclaimed ones.

        Args:
            proposed: A batch.
            whole: Whether one worker must evaluate the whole batch.
            polling: Whether this is a repeated call: then a read comes before any transaction.

        Raises:
            DriftError: The study holds other architectures under these numbers.
        """
        if polling:
            self.store.read(self._refresh)
        settled = self._settled(proposed)
        if settled is None and not (polling and not self._free(proposed)):
            return self.store.change(self.id, lambda: self._claim(proposed, whole))
        return Share((), tuple(settled or self._finished(proposed)))

    def _claim(self, proposed: Sequence[Trial], whole: bool) -> Share:
        self._refresh()
        self._compare(proposed)
        free = self._free(proposed)
        mine = [trial for trial in free if self._is_mine(trial)] or free[: self._size(free, proposed, whole)]
        numbers = {trial.number for trial in mine}
        for trial in free:
            entry, take = self._entries.get(trial.number), trial.number in numbers
            if entry is None:
                self._entries[trial.number] = self._ledger.propose(trial, self.workers.worker if take else None)
            elif take and not self._is_mine(trial):
                self._entries[trial.number] = self._ledger.assign(entry, self.workers.worker)
        return Share(tuple(mine), tuple(self._finished(proposed)))

    def _is_mine(self, trial: Trial) -> bool:
        entry = self._entries.get(trial.number)
        return entry is not None and entry.worker == self.workers.worker

    def _size(self, free: Sequence[Trial], proposed: Sequence[Trial], whole: bool) -> int:
        """Return how many to claim; of a ``whole`` batch all that is left, once no other worker has any."""
        if not whole:
            return self.workers.portion(len(free), len(proposed))
        return len(free) if len(free) + len(self._finished(proposed)) == len(proposed) else 0

    def append(self, architectures: Sequence[Architecture], most: int) -> tuple[Trial, ...]:
        """Add new architectures, up to a total of ``most`` trials, and claim them."""

        def body() -> tuple[Trial, ...]:
            self._refresh()
            there = {entry.trial.architecture for entry in self._entries.values()}
            fresh = [each for each in dict.fromkeys(architectures) if each not in there]
            first = max(self._entries, default=-1) + 1
            batch = max((entry.trial.batch for entry in self._entries.values()), default=-1) + 1
            added = []
            for number, architecture in enumerate(fresh[: most - len(self._entries)], first):
                trial = Trial(number, batch, architecture, None, costs=self.space.costs(architecture))
                self._entries[number] = self._ledger.propose(trial, self.workers.worker)
                added.append(trial)
            return tuple(added)

        return self.store.change(self.id, body)

    def adopt(self, most: int) -> tuple[Trial, ...]:
        """Claim waiting trials, or those of dead workers; empty if there are none."""
        self.store.read(self._refresh)
        if not self._free(self._unfinished()):
            return ()

        def body() -> tuple[Trial, ...]:
            self._refresh()
            taken = self._free(self._unfinished())[:most]
            for trial in taken:
                self._entries[trial.number] = self._ledger.assign(self._entries[trial.number], self.workers.worker)
            return tuple(taken)

        return self.store.change(self.id, body)

    @property
    def asynchronous(self) -> bool:
        """Whether its processes run without waiting for each other; cannot be undone."""
        return self.store.read(lambda: bool(self.store.optuna.get_study_user_attrs(self.id).get(ASYNCHRONOUS)))

    def set_asynchronous(self) -> None:
        """Make the study asynchronous.

        Raises:
            StudyError: Other processes run it synchronously.
        """

        def body() -> None:
            if not self.store.optuna.get_study_user_attrs(self.id).get(ASYNCHRONOUS):
                if self.workers.alive():
                    raise StudyError(f"other processes run study {self.name!r} synchronously; wait for them", self.name)
                self.store.optuna.set_study_user_attr(self.id, ASYNCHRONOUS, True)

        self.store.change(self.id, body)

    def tell(self, trial: Trial) -> bool:
        """Store a result durably.

        Returns:
            Whether it counts; False if another worker has taken the trial over.
        """

        def body() -> bool:
            entry = self._ledger.entry(self._entries[trial.number].id)
            if entry.worker != self.workers.worker:
                return False
            if not entry.finished:
                self._ledger.finish(entry, trial)
                state = TrialState.FAIL if trial.value is None else TrialState.COMPLETE
                self._entries[trial.number] = Entry(entry.id, trial, state, self.workers.worker)
            return True

        return self.store.change(self.id, body)

    def _refresh(self) -> None:
        """Read new trials; of two with the same number the first counts."""
        entries = self._ledger.entries(self._known)
        self._known = {entry.id: entry for entry in entries if entry.finished}
        self._entries = {entry.trial.number: entry for entry in reversed(entries)}

    def _compare(self, proposed: Sequence[Trial]) -> None:
        for trial in proposed:
            entry = self._entries.get(trial.number)
            if entry is not None and entry.trial.architecture != trial.architecture:
                raise DriftError(
                    f"the study cannot be resumed: its trial {trial.number} is {entry.trial.architecture}, but the "
                    f"strategy now asks for {trial.architecture} (other versions or machine?); start a new study, or "
                    "keep the stored trials with --accept-drift",
                    entry.trial,
                )

    def _settled(self, proposed: Sequence[Trial]) -> list[Trial] | None:
        self._compare(proposed)
        found = self._finished(proposed)
        return found if len(found) == len(proposed) else None

    def _finished(self, proposed: Sequence[Trial]) -> list[Trial]:
        found = [self._entries[trial.number] for trial in proposed if trial.number in self._entries]
        return [entry.trial for entry in found if entry.finished]

    def _unfinished(self) -> list[Trial]:
        return [entry.trial for _, entry in sorted(self._entries.items()) if not entry.finished]

    def _free(self, proposed: Sequence[Trial]) -> list[Trial]:
        """Return the unfinished trials that no live worker holds."""
        running = [self._entries[each.number] for each in proposed if each.number in self._entries]
        others = [each for each in running if each.state == TrialState.RUNNING and each.worker != self.workers.worker]
        busy = {each.trial.number for each in self.workers.busy(others)}
        done = {trial.number for trial in self._finished(proposed)}
        return [trial for trial in proposed if trial.number not in done | busy]


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


def _begin(
    storage: BaseStorage, name: str, settings: dict[str, Any], fitness_spec: dict[str, Any]
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Return the study's number, settings and fitness spec; settings are written last: without them it is not ours."""
    if name in {study.study_name for study in storage.get_all_studies()}:
        study_id = storage.get_study_id_from_name(name)
    else:
        with quiet():
            study_id = storage.create_new_study([StudyDirection.MAXIMIZE], name)
    kept = storage.get_study_user_attrs(study_id)
    if SETTINGS not in kept:
        kept = {FITNESS_SPEC: fitness_spec, SETTINGS: {**settings, "package": library_version()}}
        for key, value in kept.items():
            storage.set_study_user_attr(study_id, key, value)
    return study_id, kept[SETTINGS], kept.get(FITNESS_SPEC, {})
