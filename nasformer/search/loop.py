"""The search loop: ask, evaluate, store, tell, until the evaluations are used up.

A resumed search replays the loop: stored trials are not evaluated again, the strategy's state is rebuilt by
the same asks and tells, and every ask is compared with the stored trials. Where the strategy's state was saved with the
trials, only those after it are replayed.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from nasformer.architecture import Architecture
from nasformer.cost import Limits, within
from nasformer.errors import DriftError, FitnessError, StrategyError
from nasformer.search.evaluate import as_trial, evaluate_each, prepare_race
from nasformer.search.evaluation import Evaluation, Fitness, Trial
from nasformer.search.resume import StateKeeper
from nasformer.search.strategy import Strategy
from nasformer.search.trial_store import TrialStore
from nasformer.space import FeasibleSet

Callback = Callable[[Trial], None]


@dataclass(frozen=True)
class StoppingCriteria:
    """When a search stops.

    Args:
        evaluations: Maximal number of distinct architectures.
        batch_size: Architectures per ask.
        max_failures: Maximal number of failed evaluations; one more raises.
        seconds: Time limit of new evaluations, checked between batches; None: no limit.
        pause_after: Pause after this many evaluations, checked between batches; None: never.
        until_no_gain: Pause after this many evaluations without a new best; None: never.
    """

    evaluations: int
    batch_size: int = 1
    max_failures: int = 10
    seconds: float | None = None
    pause_after: int | None = None
    until_no_gain: int | None = None

    def __post_init__(self) -> None:
        least = {"evaluations": 1, "batch_size": 1, "max_failures": 0, "pause_after": 1, "until_no_gain": 1}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is None and name in ("pause_after", "until_no_gain"):
                continue
            if not isinstance(value, int) or value < lowest:
                raise StrategyError(f"{name} must be a whole number of at least {lowest}, got {value!r}", value)
        if self.seconds is not None and not self.seconds > 0:
            raise StrategyError(f"seconds must be positive, got {self.seconds!r}", self.seconds)

    def reached(self, run: Run, seconds: float) -> str | None:
        """Return the reason to stop, if any."""
        if len(run.trials) >= self.evaluations:
            return "evaluations"
        if self.seconds is not None and seconds >= self.seconds:
            return "seconds"
        if self.pause_after is not None and len(run.trials) >= self.pause_after:
            return "paused"
        if self.until_no_gain is not None and run.since_gain >= self.until_no_gain:
            return "no gain"
        return None


@dataclass
class Run:
    """Progress and result of a loop.

    Args:
        trials: In the order told, each as last evaluated.
        strategy_seconds: Time in ask and tell.
        replayed: Trials stored before the loop started.
        stopped: Reason of the end: ``evaluations``, ``exhausted``, ``seconds``, ``paused`` or ``no gain``.
        drifted: Number of the first trial where the strategy asked for another architecture than is stored.
        since_gain: Trials, but not probes, since the best value was first reached.
        budgets: Limits of each of several budgets; a new best within any of them is a gain.
    """

    trials: list[Trial] = field(default_factory=list)
    strategy_seconds: float = 0.0
    replayed: int = 0
    stopped: str = "evaluations"
    drifted: int | None = None
    since_gain: int = -1
    budgets: Sequence[Limits] = ()
    _best: dict[int, float] = field(default_factory=dict)
    _failed: dict[int, Trial] = field(default_factory=dict)

    @property
    def seconds(self) -> dict[str, float]:
        """Time in the strategy and in the evaluations, including before a resume."""
        return {"strategy": self.strategy_seconds, "evaluation": sum(trial.seconds for trial in self.trials)}

    @property
    def failures(self) -> list[Trial]:
        """Trials whose evaluation failed."""
        return list(self._failed.values())

    def add(self, trial: Trial) -> None:
        """Append a trial, or replace the failed one with its number."""
        if self._failed.pop(trial.number, None) is None:
            self.trials.append(trial)
            self.since_gain += not trial.probe
        else:
            place = next(place for place, each in enumerate(self.trials) if each.number == trial.number)
            self.trials[place] = trial
        if trial.value is None:
            self._failed[trial.number] = trial
        for budget, limits in enumerate(self.budgets or ({},)):
            if trial.value is None or trial.probe or trial.value <= self._best.get(budget, -math.inf):
                continue
            if within(trial.costs, limits):
                self._best[budget], self.since_gain = trial.value, 0


class SearchLoop:
    """One search and its progress.

    Args:
        strategy: The strategy.
        fitness: The fitness.
        feasible: The feasible set; every ask is checked against it and the strategy's ``probes``.
        criteria: Stopping criteria.
        record: Store of the trials, from which a search resumes.
        callbacks: Called with each stored trial.
        accept_drift: Whether to continue if the strategy asks for other architectures than are stored; it is
            then told the stored ones.
        retry_failed: Whether to evaluate the failed trials again, once all stored trials are told.
        targets: The feasible set of each of several budgets, which the strategy is asked for in turn.
    """

    def __init__(
        self,
        strategy: Strategy,
        fitness: Fitness,
        feasible: FeasibleSet,
        criteria: StoppingCriteria,
        record: TrialStore,
        callbacks: Sequence[Callback] = (),
        accept_drift: bool = False,
        retry_failed: bool = False,
        targets: Sequence[FeasibleSet] = (),
    ) -> None:
        self.strategy, self.fitness, self.feasible = strategy, fitness, feasible
        self.criteria, self.record = criteria, record
        self.callbacks, self.accept_drift, self.retry_failed = callbacks, accept_drift, retry_failed
        self.targets = targets if len(targets) > 1 else ()
        self.progress = Run(budgets=[target.limits for target in self.targets])
        self._stored, self._retold = len(record.recorded), list(record.retried)
        self._keeper = StateKeeper(strategy, record)
        self._asked: set[Architecture] = set()
        self._began: float | None = None

    def run(self) -> Run:
        """Search until a stopping criterion is met.

        Raises:
            StrategyError: The strategy proposed an infeasible architecture, or a duplicate.
            FitnessError: More evaluations failed than allowed.
            DriftError: The strategy asks for other architectures than are stored.
        """
        run = self.progress
        del self._retold[: self._keeper.restore(run, self.criteria.evaluations, self._announce)]
        self._asked.update(trial.architecture for trial in run.trials)
        self._catch_up()
        while (reason := self._reason_to_stop()) is None and (proposed := self._propose()):
            self._tell(self._settle(proposed))
            self._catch_up()
            if not self._is_replaying() and len(self._asked) == len(run.trials):  # else the end has cut a batch
                self._keeper.save(run, len(self.record.retried) - len(self._retold))
        run.stopped = reason or "exhausted"
        run.replayed = min(self._stored, len(run.trials))
        return run

    def _is_replaying(self) -> bool:
        return len(self.progress.trials) < self._stored

    def _reason_to_stop(self) -> str | None:
        """Return the reason to stop, if any; stored trials are cut off by ``evaluations`` alone."""
        if self._is_replaying() and len(self.progress.trials) < self.criteria.evaluations:
            return None
        return self.criteria.reached(self.progress, 0 if self._began is None else time.perf_counter() - self._began)

    def _catch_up(self) -> None:
        """Between two batches: tell stored retries; at the end of the record, retry and count failures."""
        while self._retold and self._retold[0][1] <= len(self.progress.trials):
            self._tell_again(self._retold.pop(0)[0])
        if self._is_replaying():
            return
        self._retry()
        self._check_failures()

    def _retry(self) -> None:
        """Evaluate the failed trials again, if asked to; once."""
        failed = self.progress.failures if self.retry_failed else []
        self.retry_failed = False
        for trial in self._evaluate(failed, failed):
            self.record.add(trial, retried_after=len(self.progress.trials))
            self._tell_again(trial)

    def _propose(self) -> list[Trial]:
        """Return the next batch, without values: the strategy's proposals, or after a drift the stored trials."""
        if self.progress.drifted is not None and (recorded := self._recorded_batch()):
            return recorded
        first, batch = self._next()
        asked = self._ask(self.criteria.batch_size)[: self.criteria.evaluations - len(self.progress.trials)]
        return [Trial(number, batch, each, None) for number, each in enumerate(asked, first)]

    def _next(self) -> tuple[int, int]:
        """Return the number of the next trial, and of its batch."""
        last = self.progress.trials[-1] if self.progress.trials else None
        return (0, 0) if last is None else (last.number + 1, last.batch + 1)

    def _recorded_batch(self) -> list[Trial]:
        """Return the stored trials of the next batch."""
        first, _ = self._next()
        later = [trial for number, trial in sorted(self.record.recorded.items()) if number >= first]
        batch = [trial for trial in later if trial.batch == later[0].batch]
        self._asked.update(trial.architecture for trial in batch)
        return batch

    def _ask(self, n: int) -> list[Architecture]:
        begin = time.perf_counter()
        architectures = self._ask_in_turn(n) if self.targets else self.strategy.ask(n)
        self.progress.strategy_seconds += time.perf_counter() - begin
        name = type(self.strategy).__name__
        if len(architectures) > n:
            raise StrategyError(
                f"{name} returned {len(architectures)} architectures, more than the {n} asked for", architectures
            )
        for architecture in architectures:
            if not isinstance(architecture, Architecture):
                raise StrategyError(f"{name} proposed {architecture!r}, which is not an Architecture", architecture)
            if architecture in self._asked:
                raise StrategyError(f"{name} proposed {architecture} twice", architecture)
            if architecture not in self.feasible and not self._is_probe(architecture):
                raise StrategyError(f"{name} proposed {architecture}, outside {self.feasible.describe()}", architecture)
            self._asked.add(architecture)
        return architectures

    def _ask_in_turn(self, n: int) -> list[Architecture]:
        """Share an ask out among the budgets, evenly over the search; what one lacks is for the next."""
        found: list[Architecture] = []
        count, first = len(self.targets), len(self._asked)
        for turn in range(count):
            wanted = sum(place % count <= turn for place in range(n)) - len(found)
            if wanted > 0:
                self.strategy.focus(self.targets[(first + turn) % count])  # type: ignore[attr-defined]
                found += self.strategy.ask(wanted)
        return found

    def _is_probe(self, architecture: Architecture) -> bool:
        return architecture in getattr(self.strategy, "probes", ()) and self.feasible.evaluable(architecture)

    def _settle(self, proposed: list[Trial]) -> list[Trial]:
        """Return a batch with its results: those stored, and new evaluations of the rest."""
        recorded = self.record.recorded
        drift = next((each for each in proposed if _differs(recorded.get(each.number), each)), None)
        if drift is not None:
            proposed = self._accept_drift(recorded[drift.number], drift)
        settled = {trial.number: recorded[trial.number] for trial in proposed if trial.number in recorded}
        self._announce(settled.values())
        for trial in self._evaluate([each for each in proposed if each.number not in settled], proposed):
            self.record.add(trial)
            settled[trial.number] = trial
            self._announce([trial])
        return [settled[number] for number in sorted(settled)]

    def _accept_drift(self, stored: Trial, asked: Trial) -> list[Trial]:
        if not self.accept_drift:
            raise DriftError(
                f"the study cannot be resumed: its trial {stored.number} is {stored.architecture}, but the "
                f"strategy now asks for {asked.architecture} (other versions or machine?); start a new study, or "
                "keep the stored trials with 'nasformer study run --accept-drift'",
                stored,
            )
        if self.progress.drifted is None:
            self.progress.drifted = len(self.progress.trials)
        return self._recorded_batch()

    def _evaluate(self, asked: Sequence[Trial], batch: Sequence[Trial]) -> Iterator[Trial]:
        """Yield the evaluations of some trials of a batch; a joint fitness evaluates the whole batch again."""
        if not asked:
            return
        self._began = time.perf_counter() if self._began is None else self._began
        waiting = {trial.architecture: trial for trial in asked}
        prepare_race(self.fitness, self._keeps, self.progress.trials)
        joint = getattr(self.fitness, "joint", False)
        for evaluation in evaluate_each(self.fitness, [each.architecture for each in (batch if joint else asked)]):
            if (trial := waiting.get(evaluation.architecture)) is not None:
                yield self._as_trial(evaluation, trial.number, trial.batch)

    @property
    def _keeps(self) -> int:
        """Number of best trials that a race may not drop: all, if a tight budget's may be the worst."""
        return sys.maxsize if self.targets else getattr(self.strategy, "keeps", 1)

    def _as_trial(self, evaluation: Evaluation, number: int, batch: int) -> Trial:
        return as_trial(evaluation, number, batch, self.feasible)

    def _announce(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            for callback in self.callbacks:
                callback(trial)

    def _check_failures(self) -> None:
        """Raise FitnessError if more evaluations failed than allowed."""
        failures = self.progress.failures
        if len(failures) > self.criteria.max_failures:
            last = failures[-1]
            raise FitnessError(
                f"{len(failures)} evaluations failed, more than max_failures={self.criteria.max_failures}; the last, "
                f"of {last.architecture}: {last.error}; once the cause is gone, evaluate them again with "
                "--retry-failed (retry_failed=True)",
                last,
            )

    def _tell(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            self.progress.add(trial)
        self._tell_strategy(trials)

    def _tell_again(self, trial: Trial) -> None:
        """Replace a failed trial by its repeated evaluation, and tell its value, if it has one."""
        self.progress.add(trial)
        if trial.value is not None:
            self._tell_strategy([trial])

    def _tell_strategy(self, trials: Sequence[Trial]) -> None:
        begin = time.perf_counter()
        self.strategy.tell(trials)
        self.progress.strategy_seconds += time.perf_counter() - begin


def _differs(stored: Trial | None, asked: Trial) -> bool:
    return stored is not None and stored.architecture != asked.architecture
