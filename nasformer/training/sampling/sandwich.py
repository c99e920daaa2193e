"""sandwich: the largest subnet, random ones and the smallest, all in one step; their losses are averaged.

Yu and Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV 2019, as BigNAS uses it (Yu et
al., ECCV 2020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasformer.space import SearchSpace
from nasformer.training.sampling._references import reference_subnets
from nasformer.training.sampling._sampler import Subnets, SubnetSampler

if TYPE_CHECKING:
    from nasformer.training.recipe import Recipe


class SandwichSampler(SubnetSampler):
    """The largest subnet, ``sandwich_random`` random ones, and the smallest.

    If each learns from the next larger one, they run by descending MACs.
    """

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        super().__init__(space, recipe)
        self._ends = reference_subnets(space, recipe)

    def draw(self, steps: int, seed: int) -> list[Subnets]:
        """Return ``sandwich_random`` + 2 subnets per step."""
        largest, smallest = self._ends["largest"], self._ends["smallest"]
        drawn = [(largest, *middle, smallest) for middle in self.middle(steps, seed)]
        if self.recipe.inplace_distillation != "next_larger":
            return drawn
        return [tuple(sorted(subnets, key=self.space.macs, reverse=True)) for subnets in drawn]

    def middle(self, steps: int, seed: int) -> list[Subnets]:
        """Return the random subnets of each step."""
        k = self.recipe.sandwich_random
        drawn = self.feasible.sample(steps * k, seed=seed)
        return [tuple(drawn[step * k : (step + 1) * k]) for step in range(steps)]
