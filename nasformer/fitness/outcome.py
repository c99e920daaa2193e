"""Outcome: per-image results of an architecture, and the value, standard error and metrics derived from them.

An architecture evaluated on a part of the images is compared with the mean of fully evaluated ones on that part:
value = their mean on all images + mean difference on the images seen (the difference
estimator of survey sampling, Cochran, Sampling Techniques, 1977, section 7.9). Otherwise easy images at the
start would favour architectures dropped early.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.search import Evaluation

Objective = Literal["accuracy", "loss"]
Array = NDArray[np.float64]
Columns = Mapping[str, Array]
"""Per-image metrics: ``accuracy`` and ``loss``, each ``(images,)``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results of an architecture on the first images of a split.

    Args:
        correct: Whether each image was classified correctly, ``(seen,)``.
        loss: Cross-entropy of each image in nats, ``(seen,)``.
    """

    correct: NDArray[np.bool_]
    loss: NDArray[np.float32]

    @property
    def seen(self) -> int:
        """Number of images."""
        return len(self.correct)

    def columns(self) -> Columns:
        """Return each image's ``accuracy``, 100 or 0, and ``loss``, in double precision."""
        return {"accuracy": np.where(self.correct, 100.0, 0.0), "loss": self.loss.astype(np.float64)}

    def values(self, objective: Objective) -> Array:
        """Return the objective per image, higher is better."""
        column = self.columns()[objective]
        return column if objective == "accuracy" else -column

    def part(self, start: int, stop: int) -> Outcome:
        """Return the outcome on the images from start to stop."""
        return Outcome(self.correct[start:stop], self.loss[start:stop])

    def followed_by(self, other: Outcome) -> Outcome:
        """Return the concatenation with the outcome on further images."""
        return Outcome(np.concatenate((self.correct, other.correct)), np.concatenate((self.loss, other.loss)))


def mean_of(outcomes: Sequence[Outcome]) -> Columns:
    """Return the per-image mean of several outcomes on the same images."""
    columns = [outcome.columns() for outcome in outcomes]
    return {name: np.mean([each[name] for each in columns], axis=0) for name in columns[0]}


def judged(
    architecture: Architecture,
    outcome: Outcome,
    objective: Objective,
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
        objective: The objective of the value.
        seconds: Evaluation time.
        reference: Mean outcome of others on all images, if this one is partial.
    """
    if not np.isfinite(outcome.loss).all():
        return Evaluation(architecture, None, "its loss on some images is not finite", seconds)
    columns = outcome.columns()
    if reference is None:
        reference = columns
    means = {name: _estimate(column, reference[name]) for name, column in columns.items()}
    error = math.sqrt(_variance(columns[objective], reference[objective]))
    value, metrics = means["accuracy"], {"loss": means["loss"]}
    if objective == "loss":
        value, metrics = -means["loss"], means
    dropped = {"dropped": 1.0} if outcome.seen < len(reference[objective]) else {}
    metrics = {**metrics, "standard_error": error, "images": outcome.seen, **dropped}
    return Evaluation(architecture, value, seconds=seconds, metrics=metrics)


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


def require_objective(objective: str) -> None:
    """Raise FitnessError for an unknown objective."""
    if objective not in get_args(Objective):
        raise FitnessError(f"objective is 'accuracy' or 'loss', got {objective!r}", objective)
