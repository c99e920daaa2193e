"""The search loop: ask, evaluate, store, tell, until the evaluations are used up.

A resumed search replays the loop: stored trials are not evaluated again, the strategy's state is rebuilt by
the same asks and tells, and every ask is compared with the stored trials. Several processes can share one
store: each asks the same, evaluates its share of a batch, and waits for the others' shares, so the trials do not
depend on the number of processes.
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
    """Back-off between polls of the other processes' trials: a tenth of the time waited so far."""

    shortest, longest = 0.01, 0.5

    def __init__(self) -> None:
        self._since: float | None = None

    def __bool__(self) -> bool:
        """Whether it has waited since the last reset."""
        return self._since is not None

    def wait(self) -> None:
        """Sleep in proportion to the time waited so far."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        time.sleep(min(max((now - self._since) / 10, self.shortest), self.longest))

    def reset(self) -> None:
        """Restart from the shortest pause."""
        self._since = None


@dataclass(frozen=True)
class StoppingCriteria:
    """When a search stops.

    Args:
        evaluations: Maximal number of distinct architectures.
        batch_size: Architectures per ask.
        max_failures: Maximal number of failed evaluations; one more raises.
        seconds: Time limit, checked between batches; None: no limit.
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

    def reached(self, trials: Sequence[Trial], seconds: float) -> str | None:
        """Return the reason to pause, if any."""
        if self.seconds is not None and seconds >= self.seconds:
            return "seconds"
        if self.pause_after is not None and len(trials) >= self.pause_after:
            return "paused"
        if self.until_no_gain is not None and _since_gain(trials) >= self.until_no_gain:
            return "no gain"
        return None


def _since_gain(trials: Sequence[Trial]) -> int:
    """Return the number of trials since the best value was first reached."""
    values = [-math.inf if trial.value is None else trial.value for trial in trials]
    return len(values) - 1 - values.index(max(values)) if values else 0


@dataclass
class Run:
    """Progress and result of a loop.

    Args:
        trials: In the order asked.
        strategy_seconds: Time in ask and tell.
        replayed: Trials stored before the loop started.
        stopped: Reason of the end: ``evaluations``, ``exhausted``, ``seconds``, ``paused`` or ``no gain``.
        drifted: Number of the first trial where the strategy asked for another architecture than is stored.
    """

    trials: list[Trial] = field(default_factory=list)
    strategy_seconds: float = 0.0
    replayed: int = 0
    stopped: str = "evaluations"
    drifted: int | None = None

    @property
    def seconds(self) -> dict[str, float]:
        """Time in the strategy and in the evaluations, including before a resume."""
        return {"strategy": self.strategy_seconds, "evaluation": sum(trial.seconds for trial in self.trials)}

    @property
    def failures(self) -> list[Trial]:
        """Trials whose evaluation failed."""
        return [trial for trial in self.trials if trial.value is None]


class SearchLoop:
    """One search and its progress.

    Args:
        strategy: The strategy.
        fitness: The fitness.
        feasible: The feasible set; every ask is checked against it.
        criteria: Stopping criteria.
        record: Store of the trials, from which a search resumes.
        callbacks: Called with each stored trial.
        accept_drift: Whether to continue if the strategy asks for other architectures than are stored; it is
            then told the stored ones.
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
            StrategyError: The strategy proposed an infeasible architecture, or a duplicate.
            FitnessError: More evaluations failed than allowed.
            DriftError: The strategy asks for other architectures than are stored.
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
        """Return the next batch: the strategy's proposals, or after a drift the stored trials."""
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
                f"{name} returned {len(architectures)} architectures, more than the {n} asked for", architectures
            )
        for architecture in architectures:
            if not isinstance(architecture, Architecture):
                raise StrategyError(f"{name} proposed {architecture!r}, which is not an Architecture", architecture)
            if architecture in self._asked:
                raise StrategyError(f"{name} proposed {architecture} twice", architecture)
            if architecture not in self.feasible:
                raise StrategyError(f"{name} proposed {architecture}, outside {self.feasible.describe()}", architecture)
            self._asked.add(architecture)
        return architectures

    def _settle(self, proposed: list[Trial]) -> list[Trial]:
        """Return a batch with its results: evaluate this process's share, wait for the rest."""
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
        """Evaluate and store trials; a joint fitness evaluates the whole batch again."""
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
