"""bins: one subnet per step, from a random one of ``cost_bins`` ranges of MACs of equal ratio.

Under the uniform prior most subnets have medium cost; ShiftNAS (Zhang et al., ICCV 2023, arXiv 2307.08300) samples by
bins of complexity instead. Here all bins are equally likely throughout; "shift" moves their probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasformer.space import SearchSpace
from nasformer.training.sampling._bins import cost_bins
from nasformer.training.sampling._sampler import Subnets, SubnetSampler

if TYPE_CHECKING:
    from nasformer.training.recipe import Recipe


class BinsSampler(SubnetSampler):
    """One subnet per step; each bin of MACs is equally likely."""

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        super().__init__(space, recipe)
        self._bins = cost_bins(self, recipe.cost_bins)

    def draw(self, steps: int, seed: int) -> list[Subnets]:
        """Return one subnet per step."""
        rng = np.random.default_rng(seed)
        places = self.places(rng, steps).tolist()
        drawn = [iter(own.sample(places.count(place), seed=rng)) for place, own in enumerate(self._bins)]
        return [(next(drawn[place]),) for place in places]

    def places(self, rng: np.random.Generator, steps: int) -> NDArray[np.int64]:
        """Draw the bin of each step."""
        return rng.integers(len(self._bins), size=steps)
