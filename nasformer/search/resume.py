"""StateKeeper: saves a strategy's state beside the trials, and goes on from it without replaying its asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nasformer.errors import NasformerError
from nasformer.search.evaluation import Trial
from nasformer.search.state import StrategyState
from nasformer.search.strategy import Strategy
from nasformer.search.trial_store import TrialStore

if TYPE_CHECKING:
    from nasformer.search.loop import Run

SAVE_AFTER_S = 2.0
"""Time in ask and tell between two saved states: the most that is replayed."""
_SHARE = 0.05
"""Largest share of the saving in the time of a strategy."""
MISFITS = (NasformerError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class StateKeeper:
    """The state of one search's strategy.

    Args:
        strategy: The strategy; without ``state`` and ``restore`` it is always replayed.
        record: Store of the trials and of the state.
    """

    def __init__(self, strategy: Strategy, record: TrialStore) -> None:
        self.strategy, self.record = strategy, record
        self._saved_at, self._pause = 0.0, SAVE_AFTER_S

    def restore(self, run: Run, evaluations: int, announce: Callable[[Iterable[Trial]], None]) -> int:
        """Restore the saved state, if it fits the record; return the number of retries told.

        Args:
            run: A new run, to which the trials are added.
            evaluations: The run's maximal number of trials.
            announce: Called with the trials.
        """
        state = self.record.state() if hasattr(self.strategy, "restore") else None
        if state is None or state.trials > evaluations:
            return 0
        first = [self.record.recorded[number] for number in sorted(self.record.recorded)[: state.trials]]
        again = self.record.retried[: state.retried]
        told = {trial.number: trial for trial in [*first, *(trial for trial, _ in again)]}
        try:
            self.strategy.restore(state.fields, list(told.values()))  # type: ignore[attr-defined]
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
        if run.strategy_seconds - self._saved_at < self._pause or not hasattr(self.strategy, "state"):
            return
        begin = time.perf_counter()
        fields = self.strategy.state()
        if fields is not None:
            spent = run.strategy_seconds
            self.record.save_state(StrategyState(trials=len(run.trials), retried=retried, seconds=spent, fields=fields))
        self._saved_at = run.strategy_seconds
        self._pause = max(SAVE_AFTER_S, (time.perf_counter() - begin) / _SHARE)
