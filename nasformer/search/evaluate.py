"""Robust evaluation: exactly one evaluation per architecture, whatever the fitness does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from heapq import nsmallest

from nasformer.architecture import Architecture
from nasformer.search.evaluation import Evaluation, Fitness, Trial
from nasformer.space import FeasibleSet


def prepare_race(fitness: Fitness, keep: int, trials: Sequence[Trial]) -> None:
    """Tell a racing fitness how many of the best to keep, and which trials are the best so far."""
    if hasattr(fitness, "race_for"):
        whole = (trial for trial in trials if trial.eligible and not trial.dropped)
        fitness.race_for(keep, [trial.architecture for trial in nsmallest(keep, whole, key=lambda trial: trial.rank)])


def as_trial(evaluation: Evaluation, number: int, batch: int, feasible: FeasibleSet) -> Trial:
    """Return an evaluation as a trial, with its costs."""
    return Trial(
        number,
        batch,
        evaluation.architecture,
        evaluation.value,
        evaluation.error,
        evaluation.seconds,
        dict(evaluation.metrics),
        feasible.space.costs(evaluation.architecture),
        evaluation.architecture not in feasible,
    )


def evaluate_each(fitness: Fitness, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
    """Yield one evaluation per architecture, whatever the fitness does.

    If a batch raises, its remaining architectures are evaluated one at a time; one that raises alone
    becomes a failed evaluation.
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
