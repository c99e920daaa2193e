"""candidates: one subnet per step, of a few chosen before the training.

PreNAS (Wang et al., ICML 2023, arXiv 2304.14636) chooses the best subnet of each interval of cost by a zero-cost
saliency, and trains only those. Here they are exact, the best by additive scores of each bin of MACs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasformer.space import SearchSpace
from nasformer.supernet.saliency import saliency
from nasformer.training.sampling._bins import cost_bins
from nasformer.training.sampling._sampler import Subnets, SubnetSampler

if TYPE_CHECKING:
    from nasformer.training.recipe import Recipe


class CandidatesSampler(SubnetSampler):
    """One subnet per step: each bin of MACs is equally likely, and each of its candidates."""

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        super().__init__(space, recipe)
        scores = saliency(space)
        self._bins = [own.best(scores, recipe.candidates) for own in cost_bins(self, recipe.cost_bins)]
        self.candidates = [candidate for own in self._bins for candidate in own]

    def draw(self, steps: int, seed: int) -> list[Subnets]:
        """Return one candidate per step."""
        rng = np.random.default_rng(seed)
        bins = [self._bins[place] for place in rng.integers(len(self._bins), size=steps)]
        return [(own[int(rng.integers(len(own)))],) for own in bins]
