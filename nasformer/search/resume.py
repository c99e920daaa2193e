"""StateKeeper: saves a strategy's state beside the trials, and goes on from it without replaying its asks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nasformer._io import digest
from nasformer._provenance import own_source
from nasformer.errors import NasformerError, StrategyError
from nasformer.search.evaluation import Trial
from nasformer.search.state import StrategyState
from nasformer.search.strategy import Strategy
from nasformer.search.trial_store import TrialStore

if TYPE_CHECKING:
    from nasformer.search.loop import Run

_LOGGER = logging.getLogger("nasformer.search")
SAVE_AFTER_S = 2.0
"""Time in ask and tell between two saved states: the most that is replayed."""
_SHARE = 0.05
"""Largest share of the saving in the time of a strategy."""
MISFITS = (NasformerError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


def keeps_state(strategy: object) -> bool:
    """Whether a strategy has ``state()`` and ``restore(state, trials)``."""
    return all(callable(getattr(strategy, name, None)) for name in ("state", "restore"))


class StateKeeper:
    """The state of one search's strategy.

    Args:
        strategy: The strategy; without ``state`` and ``restore`` it is always replayed.
        record: Store of the trials and of the state.
    """

    def __init__(self, strategy: Strategy, record: TrialStore) -> None:
        self.strategy, self.record = strategy, record
        self._saved_at, self._pause = 0.0, SAVE_AFTER_S
        self._keeps = keeps_state(strategy)
        own = getattr(strategy, "instances", [strategy])
        self._code = digest([own_source(type(each)) for each in own]) if self._keeps else ""

    def restore(self, run: Run, evaluations: int, announce: Callable[[Iterable[Trial]], None]) -> int:
        """Restore the saved state, if it fits the record; return the number of retries told.

        Args:
            run: A new run, to which the trials are added.
            evaluations: The run's maximal number of trials.
            announce: Called with the trials.
        """
        state = self.record.state() if self._keeps else None
        if state is None or state.trials > evaluations or state.fields.get("code") != self._code:
            return 0
        first = [self.record.recorded[number] for number in sorted(self.record.recorded)[: state.trials]]
        again = self.record.retried[: state.retried]
        told = {trial.number: trial for trial in [*first, *(trial for trial, _ in again)]}
        try:
            self.strategy.restore(state.fields["strategy"], list(told.values()))  # type: ignore[attr-defined]
        except MISFITS:
            return 0
        for count, trial in enumerate(first, 1):
            run.add(trial)
            ends = count == len(first) or first[count].batch != trial.batch
            while ends and again and again[0][1] <= count:
                run.add(again.pop(0)[0])
        announce(first)
        run.strategy_seconds = self._saved_at = state.seconds
        return state.retried

    def save(self, run: Run, retried: int) -> None:
        """Save the state between two batches, once the strategy took its time since the last."""
        if not self._keeps or run.strategy_seconds - self._saved_at < self._pause:
            return
        begin = time.perf_counter()
        state = self.strategy.state()  # type: ignore[attr-defined]
        if state is not None:
            fields, spent = {"code": self._code, "strategy": state}, run.strategy_seconds
            saved = StrategyState(trials=len(run.trials), retried=retried, seconds=spent, fields=fields)
            try:
                self.record.save_state(saved)
            except StrategyError as error:
                _LOGGER.warning("%s; a resumed search replays it", error)
                self._keeps = False
        self._saved_at = run.strategy_seconds
        self._pause = max(SAVE_AFTER_S, (time.perf_counter() - begin) / _SHARE)
