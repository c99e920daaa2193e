"""shift: one subnet per step, from bins of MACs whose probabilities follow the progress of their losses.

ShiftNAS (Zhang et al., ICCV 2023, arXiv 2307.08300) shifts the probability towards the complexities whose performance
still varies, as they are trained least. Here the progress of a bin is the relative decrease of its mean train loss from
epoch to epoch. The exact feasible sets replace its architecture generator.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasformer.space import SearchSpace
from nasformer.training.log import Row
from nasformer.training.sampling._sampler import Subnets
from nasformer.training.sampling.bins import BinsSampler

if TYPE_CHECKING:
    from nasformer.training.recipe import Recipe

KEY = "bin_losses"
"""Of a row: the mean train loss of each bin, ascending; None: no step of the epoch."""

_FLOOR = 0.5  # share of the probability that all bins have equally
_DECAY = 0.8  # of the average of the progress over the epochs
_LEAST = 1e-6  # loss that progress is relative to


class ShiftSampler(BinsSampler):
    """One subnet per step; bins whose losses decrease fastest are the most likely ones."""

    def __init__(self, space: SearchSpace, recipe: Recipe) -> None:
        super().__init__(space, recipe)
        self._lows = [own.limits["macs"].low or 0.0 for own in self._bins]
        self.probabilities = np.full(len(self._bins), 1 / len(self._bins))

    def learn(self, rows: Sequence[Row]) -> None:
        """Derive the probabilities from the losses of all epochs so far."""
        average, before = np.zeros(len(self._bins)), np.full(len(self._bins), np.nan)
        for row in rows:
            losses = np.array(row[KEY], dtype=np.float64)  # None becomes NaN
            progress = (before - losses) / np.abs(before).clip(min=_LEAST)
            average = np.where(np.isnan(progress), average, _DECAY * average + (1 - _DECAY) * progress)
            before = np.where(np.isnan(losses), before, losses)
        gain = average.clip(min=0)
        share = gain / gain.sum() if gain.any() else np.full(len(gain), 1 / len(gain))
        self.probabilities = _FLOOR / len(gain) + (1 - _FLOOR) * share

    def summary(self, steps: Sequence[Subnets], losses: Sequence[float]) -> Row:
        """Return the mean loss of each bin."""
        places = [bisect_right(self._lows, self.space.macs(subnet)) - 1 for (subnet,) in steps]
        found: list[list[float]] = [[] for _ in self._bins]
        for place, loss in zip(places, losses, strict=True):
            found[place].append(loss)
        return {KEY: [sum(each) / len(each) if each else None for each in found]}

    def places(self, rng: np.random.Generator, steps: int) -> NDArray[np.int64]:
        """Draw the bin of each step by the probabilities."""
        return rng.choice(len(self._bins), size=steps, p=self.probabilities)
