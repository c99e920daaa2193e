"""Validation history of a supernet's training, read from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasformer.tasks import Metric, task_of

SUBNETS = ("smallest", "centroid", "largest")


def followed(training: Mapping[str, Any]) -> Metric:
    """Return the metric of the validations shown: the task's objective."""
    return task_of(training.get("data") or {}).objective()


def validations(training: Mapping[str, Any]) -> list[tuple[int, dict[str, float]]]:
    """Return each validated epoch with the ``followed`` metric of its subnets.

    >>> rows = [{"epoch": 1, "validation": {"smallest": {"accuracy": 50.0}}}, {"epoch": 2, "train_loss": 1.2}]
    >>> validations({"history": rows})
    [(1, {'smallest': 50.0})]
    """
    rows, name = training.get("history") or [], followed(training).name
    told = [(int(row["epoch"]), row["validation"]) for row in rows if row.get("validation")]
    return [(epoch, {net: float(each[net][name]) for net in SUBNETS if net in each}) for epoch, each in told]
