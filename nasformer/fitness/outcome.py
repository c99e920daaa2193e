"""Outcome: scores of an architecture on each example, and the value, standard error and metrics derived from them.

An architecture evaluated on a part of the images is compared with the mean of fully evaluated ones on that part:
value = their mean on all images + mean difference on the images seen (the difference
estimator of survey sampling, Cochran, Sampling Techniques, 1977, section 7.9). Otherwise easy images at the
start would favour architectures dropped early.
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
Columns = Mapping[str, Array]
"""Metrics of each example by name, each ``(images,)``."""


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

    def column(self, metric: Metric) -> Array:
        """Return a metric of each example in its unit, in double precision."""
        return metric.scale * self.scores[metric.name].astype(np.float64)

    def columns(self, task: Task) -> Columns:
        """Return every metric of each example."""
        return {name: self.column(task.metric(name)) for name in self.scores}

    def values(self, objective: Metric) -> Array:
        """Return the objective of each example, higher is better."""
        return objective.sign * self.column(objective)

    def part(self, start: int, stop: int) -> Outcome:
        """Return the outcome on the examples from start to stop."""
        return Outcome({name: column[start:stop] for name, column in self.scores.items()})

    def followed_by(self, other: Outcome) -> Outcome:
        """Return the concatenation with the outcome on further examples."""
        return Outcome({name: np.concatenate((own, other.scores[name])) for name, own in self.scores.items()})


def mean_of(outcomes: Sequence[Outcome], task: Task) -> Columns:
    """Return the mean of several outcomes on the same examples."""
    columns = [outcome.columns(task) for outcome in outcomes]
    return {name: np.mean([each[name] for each in columns], axis=0) for name in columns[0]}


def judged(
    architecture: Architecture,
    outcome: Outcome,
    task: Task,
    objective: Metric,
    *,
    seconds: float = 0.0,
    reference: Columns | None = None,
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
        reference: Mean outcome of others on all images, if this one is partial.
    """
    columns = outcome.columns(task)
    for name, column in columns.items():
        if not np.isfinite(column).all():
            return Evaluation(architecture, None, f"its {name} on some {task.examples} is not finite", seconds)
    if reference is None:
        reference = columns
    means = {name: _estimate(column, reference[name]) for name, column in columns.items()}
    error = math.sqrt(_variance(columns[objective.name], reference[objective.name]))
    dropped = {"dropped": 1.0} if outcome.seen < len(reference[objective.name]) else {}
    further = {name: mean for name, mean in means.items() if name != objective.name or objective.sign < 0}
    metrics = {**further, "standard_error": error, "images": outcome.seen, **dropped}
    return Evaluation(architecture, objective.sign * means[objective.name], seconds=seconds, metrics=metrics)


def _estimate(seen: Array, reference: Array) -> float:
    if len(seen) == len(reference):
        return float(seen.mean())
    return float(reference.mean() + (seen - reference[: len(seen)]).mean())


def _variance(seen: Array, reference: Array) -> float:
    """Return the variance of ``_estimate``: s^2 / N + s_difference^2 / n * (1 - n / N)."""
    images = len(reference)
    whole = float(seen.var()) / images
    if len(seen) == images:
        return whole
    return whole + float((seen - reference[: len(seen)]).var()) / len(seen) * (1 - len(seen) / images)
