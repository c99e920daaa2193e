"""Ground truth of a fitness, hidden from strategies: comparisons measure by it, searches never read it."""

from __future__ import annotations

from typing import Any

from nasformer.architecture import Architecture
from nasformer.search.evaluation import Fitness
from nasformer.space import FeasibleSet


def true_value(fitness: Fitness, architecture: Architecture) -> float | None:
    """Return the value of an architecture without noise; None if unknown."""
    return _ask(fitness, "true_value", architecture)


def test_value(fitness: Fitness, architecture: Architecture) -> float | None:
    """Return the value on held-out test data; None if unknown."""
    return _ask(fitness, "test_value", architecture)


def optimum(fitness: Fitness, feasible: FeasibleSet) -> float | None:
    """Return the highest true value of a feasible set; None unless known exactly."""
    return _ask(fitness, "optimum", feasible)


def _ask(fitness: Fitness, member: str, about: Any) -> float | None:
    own = getattr(fitness, member, None)
    found: float | None = own(about) if own else None
    return found
