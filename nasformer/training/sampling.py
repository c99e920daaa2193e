"""Subnet sampling of supernet training: one at random, or a sandwich; all within a budget.

Uniform sampling as in AutoFormer (Chen et al., ICCV 2021, section 3.2), the sandwich rule of Yu and Huang,
"Universally Slimmable Networks and Improved Training Techniques", ICCV 2019, as BigNAS uses it (Yu et al.,
ECCV 2020). With a budget, subnets are sampled from the feasible set under the paper's prior: every dimension
uniform, conditioned on the budget.
"""

from __future__ import annotations

from collections.abc import Sequence

from nasformer.architecture import Architecture
from nasformer.cost import COSTS
from nasformer.errors import BudgetError
from nasformer.space import FeasibleSet, SearchSpace
from nasformer.training.randomness import derived
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
    whole = _without_skips(space)
    corners = {"smallest": whole.smallest, "centroid": whole.centroid, "largest": whole.largest}
    if recipe.budget is None:
        return corners
    try:
        feasible = _feasible(whole, recipe)
    except BudgetError:
        feasible = _feasible(space, recipe)
    within = {name: feasible.repair(corner) for name, corner in corners.items()}
    if feasible.countable:
        for name, bound in zip(("smallest", "largest"), feasible.bounds("params"), strict=True):
            exactly = {**recipe.budget, "params": (bound, bound)}
            within[name] = feasible.space.feasible(**exactly).sample(1)[0]
        return within
    known = [*within.values(), *feasible.sample(_DRAWN, seed=0)]
    return {**within, "smallest": min(known, key=space.params), "largest": max(known, key=space.params)}


class Sampler:
    """Samples the subnets of each step; the largest of a sandwich comes first.

    Args:
        space: The space.
        recipe: Sampling, budget and seed.

    Raises:
        BudgetError: The budget cannot be parsed, or nothing meets it.

    >>> from nasformer.space import load_space
    >>> space = load_space("digits")
    >>> sampler = Sampler(space, Recipe(sampling="sandwich", sandwich_random=1))
    >>> first, second, third = sampler(epoch=0, steps=5)[0]
    >>> first == space.largest, third == space.smallest
    (True, True)
    """

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        self._recipe, self._ends = recipe, reference_subnets(space, recipe)
        self._sample = space.sample if recipe.budget is None else _feasible(space, recipe).sample

    def __call__(self, epoch: int, steps: int) -> Sequence[tuple[Architecture, ...]]:
        """Return the subnets of each step of an epoch."""
        seed = derived(self._recipe.seed, epoch, 2)
        if self._recipe.sampling == "uniform":
            return [(architecture,) for architecture in self._sample(steps, seed=seed)]
        k = self._recipe.sandwich_random
        drawn = self._sample(steps * k, seed=seed)
        largest, smallest = self._ends["largest"], self._ends["smallest"]
        return [(largest, *drawn[step * k : (step + 1) * k], smallest) for step in range(steps)]


def _without_skips(space: SearchSpace) -> SearchSpace:
    """Return the space without skipped branches: if every layer is skipped, only the head learns."""
    values = {d.name: [value for value in d.values if value] for d in space.codec.layer if 0 in d.values}
    kept = {name: type(getattr(space, name))(*own).to_dict() for name, own in values.items() if own}
    if not kept:
        return space
    further = [cost for name, cost in space.known_costs.items() if name not in COSTS]
    return SearchSpace.from_dict({**space.to_dict(), **kept}).with_cost(*further)


def _feasible(space: SearchSpace, recipe: Recipe) -> FeasibleSet:
    return space.feasible(**(recipe.budget or {}))
