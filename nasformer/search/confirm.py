"""Confirmation: re-evaluate a strategy's recommendations before naming the winner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.search.evaluate import as_trial, evaluate_each, prepare_race
from nasformer.search.evaluation import Evaluation, Fitness, Trial, WrapperFitness
from nasformer.search.loop import Run
from nasformer.space import FeasibleSet


class Confirming(WrapperFitness):
    """Whatever has ``confirm``, as a fitness.

    Args:
        judge: Has ``confirm(architectures)``, such as a fitness.
    """

    def __init__(self, judge: Any) -> None:
        super().__init__(judge)

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterable[Evaluation]:
        """Yield what ``confirm`` yields."""
        found: Iterable[Evaluation] = self.confirm(architectures)
        return found


def confirm_recommended(
    recommended: Sequence[Architecture], fitness: Fitness, feasible: FeasibleSet, run: Run
) -> tuple[Trial, ...]:
    """Return the recommended architectures with confirmed values, best first.

    A fitness with ``confirm`` re-evaluates each. Otherwise trial values are kept, and architectures never
    evaluated, or dropped from a race, are evaluated in full (``keep`` covers them all). Failures are omitted.

    Raises:
        FitnessError: None has a value.
    """
    told = {trial.architecture: trial for trial in run.trials}
    if hasattr(fitness, "confirm"):
        judged = list(evaluate_each(Confirming(fitness), recommended))
    else:
        prepare_race(fitness, max(1, len(recommended)), ())
        unconfirmed = [each for each in recommended if each not in told or told[each].dropped]
        judged = list(evaluate_each(fitness, unconfirmed))
    fresh = {evaluation.architecture: evaluation for evaluation in judged}
    trials = []
    for architecture in recommended:
        known = told.get(architecture)
        if architecture in fresh:
            number, batch = (known.number, known.batch) if known else (len(run.trials), -1)
            trials.append(as_trial(fresh[architecture], number, batch, feasible))
        elif known is not None:
            trials.append(known)
    confirmed = sorted((trial for trial in trials if trial.value is not None), key=lambda trial: trial.rank)
    if not confirmed:
        reasons = [trial.error for trial in [*trials, *run.failures] if trial.error] or ["nothing was recommended"]
        raise FitnessError(f"no architecture has a fitness after {len(run.trials)} evaluations: {reasons[0]}", run)
    return tuple(confirmed)
