"""Validation history of a training, read from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasformer.tasks import Metric, task_of

SUBNETS = ("smallest", "centroid", "largest")


def followed(training: Mapping[str, Any]) -> Metric:
    """Return the metric of the validations shown: the task's objective."""
    return task_of(training.get("data") or {}).objective()


def validations(training: Mapping[str, Any] | None) -> list[tuple[int, dict[str, float]]]:
    """Return each validated epoch with the ``followed`` metric of its subnets.

    Args:
        training: A record whose ``history`` has rows of ``{"epoch", "smallest", "centroid", "largest"}``, or with the
            subnets under ``"validation"``, as trainings write them; rows without a validation are skipped.

    >>> validations({"history": [{"epoch": 1, "smallest": 50.0}, {"epoch": 2, "train_loss": 1.2}]})
    [(1, {'smallest': 50.0})]
    """
    given = training or {}
    rows = given.get("history") or []
    found = [(int(row["epoch"]), _subnets(given, row.get("validation", row))) for row in rows if "epoch" in row]
    return [(epoch, subnets) for epoch, subnets in found if subnets]


def last_validation(training: Mapping[str, Any]) -> dict[str, float]:
    """Return the ``followed`` metric of subnets in the last validation."""
    given = _subnets(training, training.get("validation") or {})
    return given or (validations(training) or [(0, {})])[-1][1]


def _subnets(training: Mapping[str, Any], scores: Mapping[str, Any]) -> dict[str, float]:
    """Return the metric by subnet; records of old have plain numbers."""
    name = followed(training).name
    found = {subnet: scores[subnet] for subnet in SUBNETS if subnet in scores}
    return {subnet: float(each[name] if isinstance(each, Mapping) else each) for subnet, each in found.items()}
