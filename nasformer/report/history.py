"""Validation history of a training, read from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUBNETS = ("smallest", "centroid", "largest")


def validations(training: Mapping[str, Any] | None) -> list[tuple[int, dict[str, float]]]:
    """Return each validated epoch with the accuracies of its subnets, in percent.

    Args:
        training: A record whose ``history`` has rows of ``{"epoch", "smallest", "centroid", "largest"}``, or with the
            subnets under ``"validation"``, as trainings write them; rows without a validation are skipped.

    >>> validations({"history": [{"epoch": 1, "smallest": 50.0}, {"epoch": 2, "train_loss": 1.2}]})
    [(1, {'smallest': 50.0})]
    """
    rows = (training or {}).get("history") or []
    found = [(int(row["epoch"]), _accuracies(row.get("validation", row))) for row in rows if "epoch" in row]
    return [(epoch, accuracies) for epoch, accuracies in found if accuracies]


def last_validation(training: Mapping[str, Any]) -> dict[str, float]:
    """Return the accuracies of the last validation."""
    given = _accuracies(training.get("validation") or {})
    return given or (validations(training) or [(0, {})])[-1][1]


def _accuracies(scores: Mapping[str, Any]) -> dict[str, float]:
    found = {name: scores[name] for name in SUBNETS if name in scores}
    return {name: float(_accuracy(score)) for name, score in found.items()}


def _accuracy(score: Any) -> Any:
    return score["accuracy"] if isinstance(score, Mapping) else score
