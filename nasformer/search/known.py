"""Known: what a fitness knows beyond what it tells a strategy; a comparison measures by it, no search looks at it."""

from __future__ import annotations

from typing import Any

from nasformer.architecture import Architecture
from nasformer.search.evaluation import Fitness
from nasformer.space import FeasibleSet


def true_value(fitness: Fitness, architecture: Architecture) -> float | None:
    """Return what a fitness would tell of an architecture without noise, or None where it is not known."""
    return _ask(fitness, "true_value", architecture)


def test_value(fitness: Fitness, architecture: Architecture) -> float | None:
    """Return the value on what influenced no choice, or None where it is not known."""
    return _ask(fitness, "test_value", architecture)


def optimum(fitness: Fitness, feasible: FeasibleSet) -> float | None:
    """Return the highest true value within a feasible set, or None where it is not known exactly."""
    return _ask(fitness, "optimum", feasible)


def _ask(fitness: Fitness, member: str, about: Any) -> float | None:
    own = getattr(fitness, member, None)
    found: float | None = own(about) if own else None
    return found
