"""SubnetSampler: draws the subnets of training steps from a space, or from the part of it that is open."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasformer.architecture import Architecture
from nasformer.space import SearchSpace
from nasformer.space.bounded import bounded
from nasformer.training.log import Row
from nasformer.training.sampling._references import reference_subnets

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
        candidates: The only subnets that it draws; None: all feasible ones.

    Raises:
        BudgetError: The budget cannot be parsed, or nothing meets it.
    """

    candidates: Sequence[Architecture] | None = None

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        self.space, self.recipe = space, recipe
        self.feasible = bounded(space, {}) if recipe.budget is None else space.feasible(**recipe.budget)

    @abstractmethod
    def draw(self, steps: int, seed: int) -> list[Subnets]:
        """Return the feasible subnets of each of ``steps`` steps, a function of ``steps``, ``seed`` and learnt rows."""

    def learn(self, rows: Sequence[Row]) -> None:  # noqa: B027 - optional
        """Adapt to the rows of all epochs so far, and to nothing else: a resumed training has only those."""

    def summary(self, steps: Sequence[Subnets], losses: Sequence[float]) -> Row:
        """Return what the row of an epoch keeps for ``learn``, of its subnets and of the loss of each step."""
        return {}

    def references(self) -> dict[str, Architecture]:
        """Return the subnets that are validated: the smallest, a medium and the largest one."""
        if self.candidates is None:
            return reference_subnets(self.space, self.recipe)
        ordered = sorted(self.candidates, key=self.space.macs)
        return {"smallest": ordered[0], "centroid": ordered[len(ordered) // 2], "largest": ordered[-1]}
