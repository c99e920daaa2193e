"""WorkerRegistry: the processes that share a study, as each of them sees the others.

Who is at work is one attribute of the study, the beats by worker, which the living write and from which they
strike the dead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any

from nasformer.errors import StudyError
from nasformer.search.evaluation import Trial
from nasformer.search.study.entry import Entry
from nasformer.search.study.storage import Store
from nasformer.search.study.workers import HeartbeatThread, LivenessMonitor, new_worker

WORKERS = "nasformer:workers"
_CONFIRMED = "nasformer:confirmed"
_SMALLEST_PORTION = 4
"""A worker takes at least this part of its fair share of a batch at a time."""


class WorkerRegistry:
    """The workers of one study.

    Args:
        store: Where it is kept.
        study_id: Its number there.

    Attributes:
        worker: The name of this process in the study.
    """

    def __init__(self, store: Store, study_id: int) -> None:
        self._store, self._study_id = store, study_id
        self.worker = new_worker()
        self._liveness = LivenessMonitor()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Count as a worker while the context lasts; what it leaves unfinished is free at its end."""
        if not self._store.persistent:
            yield
            return
        self._beat()
        try:
            with HeartbeatThread(self._beat):
                yield
        finally:
            with suppress(StudyError):  # others see that the process has ended, and an error on its way says more
                self._store.change(self._study_id, lambda: self._write_beats(leave=True))

    def alive(self) -> dict[str, int]:
        """Return the beats of those at work."""
        return self._liveness.alive(self._get(WORKERS) or {})

    def busy(self, running: Sequence[Entry]) -> list[Entry]:
        """Return the trials that are in live hands; who took one with plain Optuna has a lease and no beat."""
        alive: Mapping[str, int] = self.alive() if running else {}
        return [
            entry
            for entry in running
            if (entry.worker in alive if entry.worker else self._liveness.is_alive(f"trial {entry.id}", 0))
        ]

    def portion(self, free: int, batch: int) -> int:
        """Return how many of the trials that nobody evaluates to take: a fair share, and not too few."""
        if free <= 1:
            return free
        workers = len({*self.alive(), self.worker})
        return max(ceil(free / workers), ceil(batch / workers / _SMALLEST_PORTION))

    def confirmation(self, trials: int) -> tuple[Trial, ...]:
        """Return the confirmation of the first so many trials, if it was made."""
        kept = self._store.read(lambda: self._get(_CONFIRMED)) or {}
        return tuple(map(Trial.from_dict, kept["confirmed"])) if kept.get("trials") == trials else ()

    def confirmed(self, trials: int, judge: Callable[[], Sequence[Trial]]) -> tuple[Trial, ...]:
        """Return the confirmation of the first so many trials, made by one worker and kept for all.

        Args:
            trials: How many trials it is a confirmation of.
            judge: Makes it.
        """
        while (found := self._store.change(self._study_id, lambda: self._claim_confirmation(trials))) is None:
            time.sleep(0.1)
        if found:
            return tuple(map(Trial.from_dict, found))
        made = tuple(judge())
        told = {"trials": trials, "worker": None, "confirmed": [trial.to_dict() for trial in made]}
        self._store.change(self._study_id, lambda: self._set(_CONFIRMED, told))
        return made

    def _claim_confirmation(self, trials: int) -> list[dict[str, Any]] | None:
        """Return the confirmation, None while another worker makes it, or nothing: it is ours to make."""
        kept = self._get(_CONFIRMED) or {}
        if kept.get("trials") == trials:
            if kept["confirmed"]:
                return list(kept["confirmed"])
            if kept["worker"] != self.worker and kept["worker"] in self.alive():
                return None
        self._set(_CONFIRMED, {"trials": trials, "worker": self.worker, "confirmed": []})
        return []

    def _beat(self) -> None:
        self._store.change(self._study_id, self._write_beats)

    def _write_beats(self, leave: bool = False) -> None:
        beats = self._get(WORKERS) or {}
        alive = {worker: beat for worker, beat in self._liveness.alive(beats).items() if worker != self.worker}
        self._set(WORKERS, alive if leave else {**alive, self.worker: beats.get(self.worker, 0) + 1})

    def _get(self, name: str) -> Any:
        return self._store.optuna.get_study_user_attrs(self._study_id).get(name)

    def _set(self, name: str, value: object) -> None:
        self._store.optuna.set_study_user_attr(self._study_id, name, value)
