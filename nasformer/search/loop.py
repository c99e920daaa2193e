"""The loop: ask, evaluate, record, tell, until the evaluations are used up.

A search that goes on after a stop runs through the same loop: what the record holds is not evaluated
again, so the strategy is rebuilt by being asked and told as before, and every ask is compared with
the record. Several processes may run it on one record: each asks the same, evaluates its share of a batch, and
waits for the others' before it goes on, so the trials do not depend on how many they are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from nasformer.architecture import Architecture
from nasformer.errors import DriftError, FitnessError, StrategyError
from nasformer.search.evaluate import as_trial, evaluate_each, prepare_race
from nasformer.search.evaluation import Fitness, Trial
from nasformer.search.strategy import Strategy
from nasformer.search.trial_store import TrialStore
from nasformer.space import FeasibleSet

Callback = Callable[[Trial], None]


class PollBackoff:
    """How long to wait between looks at what other processes have done: a tenth of the time waited so far."""

    shortest, longest = 0.01, 0.5

    def __init__(self) -> None:
        self._since: float | None = None

    def __bool__(self) -> bool:
        """Whether it has waited since there was something to do."""
        return self._since is not None

    def wait(self) -> None:
        """Wait, the longer the longer it has waited."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        time.sleep(min(max((now - self._since) / 10, self.shortest), self.longest))

    def reset(self) -> None:
        """Begin anew: there was something to do."""
        self._since = None


@dataclass(frozen=True)
class StoppingCriteria:
    """When a search ends.

    Args:
        evaluations: Most distinct architectures.
        batch_size: Architectures per ask.
        max_failures: Most failed evaluations; one more raises.
        seconds: Most seconds, checked between batches; None: no limit.
        pause_after: Evaluations after which to stop for now, checked between batches; None: no stop.
        until_no_gain: Evaluations without a new best after which to stop for now; None: no stop.
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
            raise StrategyError(f"seconds must be above 0, got {self.seconds!r}", self.seconds)

    def reached(self, trials: Sequence[Trial], seconds: float) -> str | None:
        """Return why to stop for now, if there is a reason."""
        if self.seconds is not None and seconds >= self.seconds:
            return "seconds"
        if self.pause_after is not None and len(trials) >= self.pause_after:
            return "paused"
        if self.until_no_gain is not None and _since_gain(trials) >= self.until_no_gain:
            return "no gain"
        return None


def _since_gain(trials: Sequence[Trial]) -> int:
    """Return how many trials came after the first of the highest value."""
    values = [-math.inf if trial.value is None else trial.value for trial in trials]
    return len(values) - 1 - values.index(max(values)) if values else 0


@dataclass
class Run:
    """What a loop did.

    Args:
        trials: In the order asked.
        strategy_seconds: Time in ask and tell.
        replayed: Trials that were on record when it began.
        stopped: Why it ended: ``evaluations``, ``exhausted``, ``seconds``, ``paused`` or ``no gain``.
        drifted: Number of the first trial that the strategy asked for otherwise than the record holds.
    """

    trials: list[Trial] = field(default_factory=list)
    strategy_seconds: float = 0.0
    replayed: int = 0
    stopped: str = "evaluations"
    drifted: int | None = None

    @property
    def seconds(self) -> dict[str, float]:
        """Time in the strategy and in the evaluations, of earlier sittings too."""
        return {"strategy": self.strategy_seconds, "evaluation": sum(trial.seconds for trial in self.trials)}

    @property
    def failures(self) -> list[Trial]:
        """Trials whose evaluation failed."""
        return [trial for trial in self.trials if trial.value is None]


class SearchLoop:
    """One search: what it needs, and how far it has come.

    Args:
        strategy: What is asked and told.
        fitness: What judges.
        feasible: The set that every ask is checked against.
        criteria: When to stop.
        record: Where trials are kept, and found again after a stop.
        callbacks: Called with each trial once it is recorded.
        accept_drift: Whether to go on where the strategy asks otherwise than the record holds; what the record
            holds is then told instead.
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
    ) -> None:
        self.strategy, self.fitness, self.feasible = strategy, fitness, feasible
        self.criteria, self.record = criteria, record
        self.callbacks, self.accept_drift = callbacks, accept_drift
        self.progress = Run()
        self._replayed = {trial.number for trial in record.trials()}
        self._announced: set[int] = set()
        self._asked: set[Architecture] = set()

    def run(self) -> Run:
        """Search until a stopping criterion is met.

        Raises:
            StrategyError: The strategy asked something infeasible, or the same twice.
            FitnessError: More evaluations failed than allowed.
            DriftError: The record holds other trials than the strategy asks for.
        """
        run, start, batch = self.progress, time.perf_counter(), 0
        while len(run.trials) < self.criteria.evaluations:
            if (reason := self.criteria.reached(run.trials, time.perf_counter() - start)) is not None:
                run.stopped = reason
                break
            proposed = self._propose(batch)
            if not proposed:
                run.stopped = "exhausted"
                break
            self._tell(self._settle(proposed))
            batch += 1
        run.replayed = len(self._replayed & self._announced)
        return run

    def _propose(self, batch: int) -> list[Trial]:
        """Return the next batch: what the strategy asks, or after a drift what the record holds of it."""
        first = len(self.progress.trials)
        if self.progress.drifted is not None and (recorded := self.record.recorded(first)):
            self._asked.update(trial.architecture for trial in recorded)
            return recorded
        asked = self._ask(min(self.criteria.batch_size, self.criteria.evaluations - first))
        costs = self.feasible.space.costs
        return [Trial(first + index, batch, each, None, costs=costs(each)) for index, each in enumerate(asked)]

    def _ask(self, n: int) -> list[Architecture]:
        begin = time.perf_counter()
        architectures = self.strategy.ask(n)
        self.progress.strategy_seconds += time.perf_counter() - begin
        name = type(self.strategy).__name__
        if len(architectures) > n:
            raise StrategyError(
                f"{name} gave {len(architectures)} architectures where {n} were asked for", architectures
            )
        for architecture in architectures:
            if not isinstance(architecture, Architecture):
                raise StrategyError(f"{name} asked for {architecture!r}, which is no architecture", architecture)
            if architecture in self._asked:
                raise StrategyError(f"{name} asked twice for {architecture}", architecture)
            if architecture not in self.feasible:
                raise StrategyError(
                    f"{name} asked for {architecture}, outside {self.feasible.describe()}", architecture
                )
            self._asked.add(architecture)
        return architectures

    def _settle(self, proposed: list[Trial]) -> list[Trial]:
        """Return a batch with its results: evaluate what falls to this process, wait for the rest."""
        backoff = PollBackoff()
        while True:
            try:
                share = self.record.claim(proposed, getattr(self.fitness, "joint", False), polling=bool(backoff))
            except DriftError as drift:
                proposed = self._accept(drift)
                continue
            self._announce(share.settled)
            if len(share.settled) == len(proposed):
                return sorted(share.settled, key=lambda trial: trial.number)
            if share.mine:
                self._evaluate(share.mine, proposed)
                backoff.reset()
            else:
                backoff.wait()

    def _accept(self, drift: DriftError) -> list[Trial]:
        if not self.accept_drift:
            raise drift
        first = len(self.progress.trials)
        self.progress.drifted = self.progress.drifted if self.progress.drifted is not None else first
        recorded = self.record.recorded(first)
        self._asked.update(trial.architecture for trial in recorded)
        return recorded

    def _evaluate(self, mine: Sequence[Trial], batch: Sequence[Trial]) -> None:
        """Evaluate trials and record them; where values depend on each other, all of the batch once more."""
        waiting = {trial.architecture: trial for trial in mine}
        prepare_race(self.fitness, getattr(self.strategy, "keeps", 1), self.progress.trials)
        joint = getattr(self.fitness, "joint", False)
        for evaluation in evaluate_each(self.fitness, [each.architecture for each in (batch if joint else mine)]):
            asked = waiting.get(evaluation.architecture)
            if asked is not None:
                trial = as_trial(evaluation, asked.number, asked.batch, self.feasible)
                if self.record.tell(trial):
                    self._announce([trial])

    def _announce(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            if trial.number not in self._announced:
                self._announced.add(trial.number)
                for callback in self.callbacks:
                    callback(trial)

    def _tell(self, trials: list[Trial]) -> None:
        self.progress.trials += trials
        failures = self.progress.failures
        if len(failures) > self.criteria.max_failures:
            last = failures[-1]
            raise FitnessError(
                f"{len(failures)} evaluations failed, more than max_failures={self.criteria.max_failures}; "
                f"the last, of {last.architecture}: {last.error}",
                last,
            )
        begin = time.perf_counter()
        self.strategy.tell(trials)
        self.progress.strategy_seconds += time.perf_counter() - begin
