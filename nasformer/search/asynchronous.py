"""The asynchronous loop: no process waits for the rest of a batch.

Each process tells its copy of the strategy every result as it arrives, its own and the others', and asks again
as soon as it is idle. No trial is lost or evaluated twice, but proposals depend on timing: two runs differ, and
so does a resumed one.
"""

from __future__ import annotations

import time

from nasformer.search.evaluation import Trial
from nasformer.search.loop import PollBackoff, Run, SearchLoop


class AsynchronousLoop(SearchLoop):
    """One search by processes that do not wait for each other."""

    def run(self) -> Run:
        """Search until a stopping criterion is met.

        Raises:
            StrategyError: The strategy proposed an infeasible architecture, or a duplicate.
            FitnessError: More evaluations failed than allowed.
        """
        run, start, backoff = self.progress, time.perf_counter(), PollBackoff()
        while True:
            self._hear()
            if len(run.trials) >= self.criteria.evaluations:
                break
            if (reason := self.criteria.reached(run.trials, time.perf_counter() - start)) is not None:
                run.stopped = reason
                break
            mine = self.record.adopt(self.criteria.batch_size) or self._ask_new()
            if mine:
                self._evaluate(mine, mine)
                backoff.reset()
            elif self.record.size() == len(run.trials):
                run.stopped = "exhausted"
                break
            else:
                backoff.wait()
        run.trials.sort(key=lambda trial: trial.number)
        run.replayed = len(self._replayed & self._announced)
        return run

    def _hear(self) -> None:
        """Tell the strategy all new results."""
        heard = {trial.number for trial in self.progress.trials}
        fresh = [trial for trial in self.record.trials() if trial.number not in heard]
        if fresh:
            self._announce(fresh)
            self._tell(fresh)

    def _ask_new(self) -> tuple[Trial, ...]:
        """Ask until the strategy proposes an architecture new to the study; empty if it is exhausted."""
        while (room := self.criteria.evaluations - self.record.size()) > 0:
            asked = self._ask(min(self.criteria.batch_size, room))
            if not asked:
                break
            if mine := self.record.append(asked, self.criteria.evaluations):
                return mine
        return ()
