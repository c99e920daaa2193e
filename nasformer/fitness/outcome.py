"""Outcome: scores of an architecture on each example, and the value, standard error and metrics derived from them.

An architecture evaluated on a part of the images is compared with the mean of fully evaluated ones on that part:
value = their mean on all images + mean difference on the images seen (the difference
estimator of survey sampling, Cochran, Sampling Techniques, 1977, section 7.9). Otherwise easy images at the
start would favour architectures dropped early. Metrics that are no means over images are linearised in them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.search import Evaluation
from nasformer.tasks import Metric, Task

Array = NDArray[np.float64]
Reference = Mapping[str, tuple[Array, Array]]
"""Of each objective the mean of several outcomes: on all examples, and on the first of them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scores of an architecture on the first examples of a split.

    Args:
        scores: The task's scores of each example by name, ``(seen,)`` each.
    """

    scores: Mapping[str, NDArray[Any]]

    @property
    def seen(self) -> int:
        """Number of examples."""
        return len(next(iter(self.scores.values())))

    def values(self, task: Task, objective: Metric) -> Array:
        """Return numbers of the examples whose mean is an objective, higher is better."""
        return objective.sign * task.estimate(objective.name, self.scores).examples

    def part(self, start: int, stop: int) -> Outcome:
        """Return the outcome on the examples from start to stop."""
        return Outcome({name: column[start:stop] for name, column in self.scores.items()})

    def followed_by(self, other: Outcome) -> Outcome:
        """Return the concatenation with the outcome on further examples."""
        return Outcome({name: np.concatenate((own, other.scores[name])) for name, own in self.scores.items()})


def mean_of(outcomes: Sequence[Outcome], task: Task, seen: int) -> Reference:
    """Return the mean of several outcomes on all examples, as reference of one on the first ``seen``."""
    parts = [outcome.part(0, seen) for outcome in outcomes]
    return {name: (_mean(outcomes, task, name), _mean(parts, task, name)) for name in _measured(task, outcomes[0])}


def _measured(task: Task, outcome: Outcome) -> list[str]:
    """Return the names of the task's objectives, and of the divergence if it was computed."""
    return [*task.objectives, *({task.divergence_metric.name} & outcome.scores.keys())]


def _mean(outcomes: Sequence[Outcome], task: Task, name: str) -> Array:
    mean: Array = np.mean([task.estimate(name, outcome.scores).examples for outcome in outcomes], axis=0)
    return mean


def judged(
    architecture: Architecture,
    outcome: Outcome,
    task: Task,
    objective: Metric,
    *,
    seconds: float = 0.0,
    reference: Reference | None = None,
) -> Evaluation:
    """Return an outcome as an evaluation.

    The standard error is that of the value as an estimate for new images of the same distribution: the sampling
    error of the split, plus that of its unseen part.

    Args:
        architecture: The architecture.
        outcome: Its outcome on all images, or on the first.
        task: The task of the split.
        objective: The metric of the value.
        seconds: Evaluation time.
        reference: Mean of the outcomes of others, if this one is partial.
    """
    found = {name: task.estimate(name, outcome.scores) for name in _measured(task, outcome)}
    for name, estimate in found.items():
        if not np.isfinite(estimate.examples).all():
            return Evaluation(architecture, None, f"its {name} on some {task.examples} is not finite", seconds)
    figures = {name: estimate.value for name, estimate in found.items()}
    if reference is not None:
        figures = {name: _value(found[name].examples, *reference[name]) for name in figures}
    examples = found[objective.name].examples
    error = math.sqrt(_variance(examples, *(reference[objective.name] if reference else (examples, examples))))
    dropped = {"dropped": 1.0} if reference else {}
    further = {name: figure for name, figure in figures.items() if name != objective.name or objective.sign < 0}
    metrics = {**further, "standard_error": error, "images": outcome.seen, **dropped}
    return Evaluation(architecture, objective.sign * figures[objective.name], seconds=seconds, metrics=metrics)


def _value(seen: Array, whole: Array, part: Array) -> float:
    """Return the difference estimate, given a reference on all examples and on those seen."""
    return float(whole.mean() + (seen - part).mean())


def _variance(seen: Array, whole: Array, part: Array) -> float:
    """Return the variance of ``_value``: s^2 / N + s_difference^2 / n * (1 - n / N)."""
    unseen = 1 - len(seen) / len(whole)
    return float(seen.var()) / len(whole) + float((seen - part).var()) / len(seen) * unseen
