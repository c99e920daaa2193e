"""SubnetSampler: draws the subnets of training steps from a space, or from the part of it that is open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from nasformer.architecture import Architecture
from nasformer.space import SearchSpace
from nasformer.space.bounded import bounded

if TYPE_CHECKING:
    from nasformer.training.recipe import Recipe

Subnets = tuple[Architecture, ...]
"""The subnets of a step in the order in which they run; the first learns from the labels, and may teach the others."""


class SubnetSampler(ABC):
    """Samples the subnets of each step.

    Args:
        space: The space, or the part of it whose choices are open.
        recipe: Budget and options.

    Attributes:
        feasible: The members within the budget; without a budget all of them, whatever the space's own constraints.

    Raises:
        BudgetError: The budget cannot be parsed, or nothing meets it.
    """

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        self.space, self.recipe = space, recipe
        self.feasible = bounded(space, {}) if recipe.budget is None else space.feasible(**recipe.budget)

    @abstractmethod
    def draw(self, steps: int, seed: int) -> list[Subnets]:
        """Return the feasible subnets of each of ``steps`` steps, a function of ``steps`` and ``seed`` alone."""
