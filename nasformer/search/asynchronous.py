"""The asynchronous loop: no worker waits for the rest of a batch.

Each result is told as it arrives, and an idle worker causes the next ask. Trials are numbered as they finish. No trial
is lost or evaluated twice, but proposals depend on timing: two runs differ, and so does a resumed one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from nasformer.architecture import Architecture
from nasformer.search.evaluate import evaluate_each, prepare_race
from nasformer.search.evaluation import Evaluation
from nasformer.search.loop import Run, SearchLoop


class AsynchronousLoop(SearchLoop):
    """A search whose workers do not wait for each other; without workers, one batch at a time."""

    _over = False

    def run(self) -> Run:
        """Search until a stopping criterion is met.

        Raises:
            StrategyError: The strategy proposed an infeasible architecture, or a duplicate.
            FitnessError: More evaluations failed than allowed.
        """
        run, stored = self.progress, self.record.trials()
        self._asked.update(trial.architecture for trial in stored)
        self._announce(stored)
        if stored:
            self._tell(stored)
        self._retry()
        self._check_failures()
        self._began = time.perf_counter()
        for evaluation in self._evaluations():
            trial = self._as_trial(evaluation, *self._next())
            self.record.add(trial)
            self._announce([trial])
            self._tell([trial])
            self._check_failures()
        run.replayed = len(stored)
        return run

    def _evaluations(self) -> Iterator[Evaluation]:
        """Yield the evaluations of all asks; a sequential strategy is asked again once its results are told."""
        stream = None if getattr(self.fitness, "joint", False) else getattr(self.fitness, "stream", None)
        while not self._over:
            if stream is not None:
                yield from stream(each for batch in self._asks(1) for each in batch)
                continue
            for batch in self._asks(self.criteria.batch_size):
                prepare_race(self.fitness, self._keeps, self.progress.trials)
                yield from evaluate_each(self.fitness, batch)

    def _asks(self, size: int) -> Iterator[list[Architecture]]:
        """Yield new batches until a stopping criterion is met or the strategy has none."""
        while (room := self.criteria.evaluations - len(self._asked)) > 0:
            reason = self._reason_to_stop()
            asked = [] if reason else self._ask(min(size, room))
            if not asked:
                pending = len(self._asked) > len(self.progress.trials)
                self.progress.stopped = reason or "exhausted"
                self._over = reason is not None or not pending
                return
            yield asked
        self.progress.stopped, self._over = "evaluations", True
