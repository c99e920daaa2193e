"""reference_subnets: the smallest, the centroid and the largest subnet, which are validated; ends of sandwiches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasformer.architecture import Architecture
from nasformer.errors import BudgetError
from nasformer.space import SearchSpace
from nasformer.training.sampling._parts import without_skips

if TYPE_CHECKING:
    from nasformer.training.recipe import Recipe

_DRAWN = 256


def reference_subnets(space: SearchSpace, recipe: Recipe) -> dict[str, Architecture]:
    """Return the smallest, the centroid and the largest architecture that skip no branch.

    With a budget: a feasible one with the fewest and with the most parameters, and the nearest to the centroid; with
    skips only if nothing else is feasible. If a black-box cost makes the set uncountable, the extremes are taken from
    the repaired corners and from random samples.

    Raises:
        BudgetError: The budget cannot be parsed, or nothing meets it.
    """
    whole = without_skips(space)
    corners = {"smallest": whole.smallest, "centroid": whole.centroid, "largest": whole.largest}
    if recipe.budget is None:
        return corners
    try:
        feasible = whole.feasible(**recipe.budget)
    except BudgetError:
        feasible = space.feasible(**recipe.budget)
    within = {name: feasible.repair(corner) for name, corner in corners.items()}
    if feasible.countable:
        for name, bound in zip(("smallest", "largest"), feasible.bounds("params"), strict=True):
            exactly = {**recipe.budget, "params": (bound, bound)}
            within[name] = feasible.space.feasible(**exactly).sample(1)[0]
        return within
    known = [*within.values(), *feasible.sample(_DRAWN, seed=0)]
    return {**within, "smallest": min(known, key=space.params), "largest": max(known, key=space.params)}
