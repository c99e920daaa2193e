"""Study: a search on a storage, which any number of processes continue together.

Every change reads what is there and writes what follows from it while nobody else writes, so a trial is proposed
once, claimed by one worker, and told once: by the worker that has it, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import TrialState

from nasformer.architecture import Architecture
from nasformer.cost import Limits
from nasformer.errors import DriftError, StudyError
from nasformer.search.evaluation import Trial
from nasformer.search.record import Share
from nasformer.search.study.crew import Crew
from nasformer.search.study.entry import Entry, Ledger
from nasformer.search.study.parameters import distributions
from nasformer.search.study.settings import FORMAT, check_format, compare, find
from nasformer.search.study.storage import Store, quiet
from nasformer.space import SearchSpace

_SETTINGS = "nasformer:settings"
_ASYNCHRONOUS = "nasformer:asynchronous"
_RECIPE = "nasformer:recipe"


class Study:
    """A search's trials on a storage; made where it is new, continued where it is not.

    Args:
        storage: Its URL, or what is opened already.
        name: Name of the study in the storage.
        space: The space of the architectures.
        settings: All that decides the search, as plain data; a study found under the name must have
            been made with the same.
        limits: Bounds by cost, shown as constraints.
        recipe: How to make the search again, where that can be told; kept by a new study.

    Attributes:
        crew: The processes that share it, this one among them.

    Raises:
        StudyError: The storage cannot be opened, or holds a study of other settings.
    """

    def __init__(
        self,
        storage: Store | str | Path | None,
        name: str,
        space: SearchSpace,
        settings: Mapping[str, Any],
        limits: Limits | None = None,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        self.store = storage if isinstance(storage, Store) else Store(storage)
        self.name, self.space = name, space
        plain: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **settings}))
        self.id, self.settings, self.recipe = self.store.change(None, lambda: self._begin(plain, dict(recipe or {})))
        check_format(name, self.settings)
        compare(name, self.settings, plain)
        self.crew = Crew(self.store, self.id)
        self._ledger = Ledger(self.store.optuna, self.id, distributions(space), limits or {})
        self._known: dict[int, Entry] = {}
        self._entries: dict[int, Entry] = {}
        self.store.read(self._refresh)

    def _begin(self, settings: dict[str, Any], recipe: dict[str, Any]) -> tuple[int, dict[str, Any], dict[str, Any]]:
        storage = self.store.optuna
        if self.name in {study.study_name for study in storage.get_all_studies()}:
            study_id = storage.get_study_id_from_name(self.name)
        else:
            with quiet():
                study_id = storage.create_new_study([StudyDirection.MAXIMIZE], self.name)
        kept = storage.get_study_user_attrs(study_id)
        if _SETTINGS not in kept:
            kept = {_RECIPE: recipe, _SETTINGS: {**settings, "package": version("nasformer")}}
            for name, value in kept.items():
                storage.set_study_user_attr(study_id, name, value)
        return study_id, kept[_SETTINGS], kept.get(_RECIPE, {})

    @classmethod
    def stored(cls, storage: Store, name: str | None) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return the name, settings and recipe of a study; where the storage holds one alone, that.

        Raises:
            StudyError: There is none of the name, or it is not ours.
        """
        found, attributes = storage.read(lambda: find(storage, name))
        if _SETTINGS not in attributes:
            raise StudyError(f"study {found!r} in {storage.name!r} was not made by nasformer", found)
        check_format(found, attributes[_SETTINGS])
        return found, attributes[_SETTINGS], attributes.get(_RECIPE, {})

    def trials(self) -> list[Trial]:
        """Return the finished trials by number, each once."""
        self.store.read(self._refresh)
        return [entry.trial for _, entry in sorted(self._entries.items()) if entry.finished]

    def size(self) -> int:
        """Return how many trials there are, finished or not, as of the last look."""
        return len(self._entries)

    def recorded(self, first: int) -> list[Trial]:
        """Return the batch that begins with a trial, finished or not, as far as it is on record."""
        found = [entry.trial for number, entry in sorted(self._entries.items()) if number >= first]
        return [trial for trial in found if trial.batch == found[0].batch]

    def claim(self, proposed: Sequence[Trial], whole: bool = False, polling: bool = False) -> Share:
        """Propose what is not there yet, and take a fair part of what nobody evaluates.

        Args:
            proposed: A batch.
            whole: Whether one worker has to evaluate it all.
            polling: Whether this was asked a moment ago, so that most likely nothing has changed.

        Raises:
            DriftError: The record holds other architectures under these numbers.
        """
        if self._settled(proposed) is None and polling:
            self.store.read(self._refresh)
            if all(trial.number in self._entries for trial in proposed) and not self._free(proposed):
                return Share((), tuple(self._finished(proposed)))
        settled = self._settled(proposed)
        if settled is not None:
            return Share((), tuple(settled))
        return self.store.change(self.id, lambda: self._claim(proposed, whole))

    def _claim(self, proposed: Sequence[Trial], whole: bool) -> Share:
        self._refresh()
        self._compare(proposed)
        free = self._free(proposed)
        open_ = len(proposed) - len(self._finished(proposed))
        size = self.crew.portion(len(free), len(proposed)) if not whole else len(free) if len(free) == open_ else 0
        mine = {trial.number for trial in free[:size]}
        for trial in free:
            entry, take = self._entries.get(trial.number), trial.number in mine
            if entry is None:
                self._entries[trial.number] = self._ledger.propose(trial, self.crew.worker if take else None)
            elif take:
                self._entries[trial.number] = self._ledger.assign(entry, self.crew.worker)
        return Share(tuple(free[:size]), tuple(self._finished(proposed)))

    def append(self, architectures: Sequence[Architecture], most: int) -> tuple[Trial, ...]:
        """Add architectures that no trial has, until there are so many, and take them."""

        def body() -> tuple[Trial, ...]:
            self._refresh()
            there = {entry.trial.architecture for entry in self._entries.values()}
            fresh = [each for each in dict.fromkeys(architectures) if each not in there]
            first = max(self._entries, default=-1) + 1
            batch = max((entry.trial.batch for entry in self._entries.values()), default=-1) + 1
            added = []
            for number, architecture in enumerate(fresh[: most - len(self._entries)], first):
                trial = Trial(number, batch, architecture, None, costs=self.space.costs(architecture))
                self._entries[number] = self._ledger.propose(trial, self.crew.worker)
                added.append(trial)
            return tuple(added)

        return self.store.change(self.id, body)

    def adopt(self, most: int) -> tuple[Trial, ...]:
        """Take what waits, or what a worker that has ended left; nothing where there is none."""
        self.store.read(self._refresh)
        if not self._free(self._unfinished()):
            return ()

        def body() -> tuple[Trial, ...]:
            self._refresh()
            taken = self._free(self._unfinished())[:most]
            for trial in taken:
                self._entries[trial.number] = self._ledger.assign(self._entries[trial.number], self.crew.worker)
            return tuple(taken)

        return self.store.change(self.id, body)

    @property
    def asynchronous(self) -> bool:
        """Whether its processes do not wait for each other; once so, always so."""
        return self.store.read(lambda: bool(self.store.optuna.get_study_user_attrs(self.id).get(_ASYNCHRONOUS)))

    def let_run_free(self) -> None:
        """Make the study asynchronous.

        Raises:
            StudyError: Other processes are at work on it in step.
        """

        def body() -> None:
            if not self.store.optuna.get_study_user_attrs(self.id).get(_ASYNCHRONOUS):
                if self.crew.living():
                    raise StudyError(f"study {self.name!r} is run in step by other processes; wait for them", self.name)
                self.store.optuna.set_study_user_attr(self.id, _ASYNCHRONOUS, True)

        self.store.change(self.id, body)

    def tell(self, trial: Trial) -> bool:
        """Keep a result; once this returns it is not lost.

        Returns:
            Whether it counts: not where another worker has taken the trial over.
        """

        def body() -> bool:
            entry = self._ledger.entry(self._entries[trial.number].id)
            if entry.worker != self.crew.worker:
                return False
            if not entry.finished:
                self._ledger.finish(entry, trial)
                state = TrialState.FAIL if trial.value is None else TrialState.COMPLETE
                self._entries[trial.number] = Entry(entry.id, trial, state, self.crew.worker)
            return True

        return self.store.change(self.id, body)

    def _refresh(self) -> None:
        """Read what is new; of two trials of one number the first counts."""
        entries = self._ledger.entries(self._known)
        self._known = {entry.id: entry for entry in entries if entry.finished}
        self._entries = {entry.trial.number: entry for entry in reversed(entries)}

    def _compare(self, proposed: Sequence[Trial]) -> None:
        for trial in proposed:
            entry = self._entries.get(trial.number)
            if entry is not None and entry.trial.architecture != trial.architecture:
                raise DriftError(
                    f"the record cannot be continued: its trial {trial.number} is {entry.trial.architecture}, but the "
                    f"strategy now asks for {trial.architecture} (other versions or machine?); start a new study, or "
                    "let the record stand with --accept-drift",
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
        """Return what is not finished and nobody alive evaluates."""
        running = [self._entries[each.number] for each in proposed if each.number in self._entries]
        others = [each for each in running if each.state == TrialState.RUNNING and each.worker != self.crew.worker]
        busy = {each.trial.number for each in self.crew.busy(others)}
        done = {trial.number for trial in self._finished(proposed)}
        return [trial for trial in proposed if trial.number not in done | busy]
