"""The loop: ask, evaluate, record, tell, until the evaluations are used up.

A search that goes on after a stop runs through the same loop: what the record holds is not evaluated
again, so the strategy is rebuilt by being asked and told as before, and every ask is compared with
the record.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError, StrategyError, StudyError
from nasformer.search.evaluation import Evaluation, Fitness, Trial
from nasformer.search.strategy import Strategy
from nasformer.space import FeasibleSet

Callback = Callable[[Trial], None]


class Record(Protocol):
    """Where trials are kept as they come."""

    def trials(self) -> list[Trial]:
        """Return the trials kept so far."""
        ...

    def add(self, trial: Trial) -> None:
        """Keep a trial; once this returns it is not lost."""
        ...


@dataclass(frozen=True)
class Limit:
    """When a search ends.

    Args:
        evaluations: Most distinct architectures.
        batch_size: Architectures per ask.
        max_failures: Most failed evaluations; one more raises.
        seconds: Most seconds, checked between batches; None: no limit.
    """

    evaluations: int
    batch_size: int = 1
    max_failures: int = 10
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("evaluations", 1), ("batch_size", 1), ("max_failures", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise StrategyError(f"{name} must be a whole number of at least {least}, got {value!r}", value)
        if self.seconds is not None and not self.seconds > 0:
            raise StrategyError(f"seconds must be above 0, got {self.seconds!r}", self.seconds)


@dataclass
class Run:
    """What a loop did.

    Args:
        trials: In the order asked.
        strategy_seconds: Time in ask and tell.
        replayed: Trials that came from the record.
        stopped: Why it ended: ``evaluations``, ``exhausted`` or ``seconds``.
    """

    trials: list[Trial] = field(default_factory=list)
    strategy_seconds: float = 0.0
    replayed: int = 0
    stopped: str = "evaluations"

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
        limit: When to stop.
        record: Where trials are kept, and found again after a stop.
        callbacks: Called with each trial once it is recorded.
    """

    def __init__(
        self,
        strategy: Strategy,
        fitness: Fitness,
        feasible: FeasibleSet,
        limit: Limit,
        record: Record,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.strategy, self.fitness, self.feasible = strategy, fitness, feasible
        self.limit, self.record = limit, record
        self.callbacks = callbacks
        self.progress = Run()
        self._known = {trial.number: trial for trial in record.trials()}
        self._asked: set[Architecture] = set()

    def run(self) -> Run:
        """Search until a limit is reached.

        Raises:
            StrategyError: The strategy asked something infeasible, or the same twice.
            FitnessError: More evaluations failed than allowed.
            StudyError: The record holds other trials than the strategy asks for.
        """
        run, limit, start = self.progress, self.limit, time.perf_counter()
        batch = 0
        while len(run.trials) < limit.evaluations:
            if limit.seconds is not None and time.perf_counter() - start >= limit.seconds:
                run.stopped = "seconds"
                break
            architectures = self._ask(min(limit.batch_size, limit.evaluations - len(run.trials)))
            if not architectures:
                run.stopped = "exhausted"
                break
            self._tell(self._evaluate(batch, architectures))
            batch += 1
        return run

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

    def _evaluate(self, batch: int, architectures: Sequence[Architecture]) -> list[Trial]:
        first = len(self.progress.trials)
        numbers = {architecture: first + index for index, architecture in enumerate(architectures)}
        done = self._recorded(numbers)
        for evaluation in self._evaluate_rest(numbers, done):
            number = numbers[evaluation.architecture]
            done[number] = as_trial(evaluation, number, batch, self.feasible)
            self.record.add(done[number])
            self._announce(done[number])
        return [done[number] for number in numbers.values()]

    def _evaluate_rest(self, numbers: dict[Architecture, int], done: dict[int, Trial]) -> Iterator[Evaluation]:
        """Yield what the record lacks; where values depend on each other, the batch is evaluated whole again."""
        rest = [architecture for architecture, number in numbers.items() if number not in done]
        if not rest:
            return
        keep = getattr(self.strategy, "keeps", 1)
        tell_need(self.fitness, keep, self.progress.trials)
        together = list(numbers) if getattr(self.fitness, "joint", False) else rest
        yield from (each for each in evaluate_each(self.fitness, together) if each.architecture in rest)

    def _recorded(self, numbers: dict[Architecture, int]) -> dict[int, Trial]:
        done = {number: self._known[number] for number in numbers.values() if number in self._known}
        for architecture, number in numbers.items():
            if number in done and done[number].architecture != architecture:
                raise StudyError(
                    f"the record cannot be continued: its trial {number} is {done[number].architecture}, but the "
                    f"strategy now asks for {architecture} (other versions or machine?); start a new study",
                    done[number],
                )
        for trial in done.values():
            self._announce(trial)
        self.progress.replayed += len(done)
        return done

    def _announce(self, trial: Trial) -> None:
        for callback in self.callbacks:
            callback(trial)

    def _tell(self, trials: list[Trial]) -> None:
        self.progress.trials += trials
        failures = self.progress.failures
        if len(failures) > self.limit.max_failures:
            last = failures[-1]
            raise FitnessError(
                f"{len(failures)} evaluations failed, more than max_failures={self.limit.max_failures}; "
                f"the last, of {last.architecture}: {last.error}",
                last,
            )
        begin = time.perf_counter()
        self.strategy.tell(trials)
        self.progress.strategy_seconds += time.perf_counter() - begin


def tell_need(fitness: Fitness, keep: int, trials: Sequence[Trial]) -> None:
    """Tell a fitness that races what for: ``keep`` places, and who of the trials has them now."""
    if hasattr(fitness, "race_for"):
        whole = (trial for trial in trials if trial.value is not None and not trial.dropped)
        fitness.race_for(keep, [trial.architecture for trial in sorted(whole, key=lambda trial: trial.rank)[:keep]])


def as_trial(evaluation: Evaluation, number: int, batch: int, feasible: FeasibleSet) -> Trial:
    """Return the trial of an evaluation, with its costs."""
    return Trial(
        number,
        batch,
        evaluation.architecture,
        evaluation.value,
        evaluation.error,
        evaluation.seconds,
        dict(evaluation.metrics),
        feasible.space.costs(evaluation.architecture),
    )


def evaluate_each(fitness: Fitness, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
    """Yield one evaluation for each architecture, whatever the fitness does.

    Where a batch raises, what it had not yielded is evaluated one at a time, and what raises alone is
    a failed evaluation.
    """
    if not architectures:
        return
    waiting, clock = dict.fromkeys(architectures), time.perf_counter()
    try:
        for evaluation in fitness.evaluate(architectures):
            if evaluation.architecture in waiting:
                del waiting[evaluation.architecture]
                yield _timed(evaluation, clock)
                clock = time.perf_counter()
        failure: str = "the fitness returned nothing for it"
    except Exception as error:
        failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if len(architectures) == 1:
        yield from (Evaluation(architecture, None, failure, time.perf_counter() - clock) for architecture in waiting)
    else:
        for architecture in waiting:
            yield from evaluate_each(fitness, [architecture])


def _timed(evaluation: Evaluation, clock: float) -> Evaluation:
    if evaluation.seconds:
        return evaluation
    seconds = time.perf_counter() - clock
    return Evaluation(evaluation.architecture, evaluation.value, evaluation.error, seconds, evaluation.metrics)
