"""stratified: a sandwich whose random subnets have one each in ``sandwich_random`` ranges of MACs of equal ratio.

Scala (arXiv 2412.04786) draws one in each half of the range, so that all sizes are trained at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasformer.space import SearchSpace
from nasformer.training.sampling._bins import cost_bins
from nasformer.training.sampling._sampler import Subnets
from nasformer.training.sampling.sandwich import SandwichSampler

if TYPE_CHECKING:
    from nasformer.training.recipe import Recipe


class StratifiedSampler(SandwichSampler):
    """The largest subnet, one of each bin of MACs, larger ones first, and the smallest."""

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        super().__init__(space, recipe)
        self._bins = cost_bins(self, recipe.sandwich_random)[::-1] if recipe.sandwich_random else []

    def middle(self, steps: int, seed: int) -> list[Subnets]:
        """Return a subnet of each bin for each step."""
        rng = np.random.default_rng(seed)
        drawn = [own.sample(steps, seed=rng) for own in self._bins]
        return [tuple(each[step] for each in drawn) for step in range(steps)]
