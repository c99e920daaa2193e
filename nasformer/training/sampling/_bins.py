"""Bins of MACs: the feasible sets of ranges of cost, so that sizes that are rare in a space train as often.

The ends of a range have the same ratio in all bins; ranges of equal width would starve small subnets of wide spaces.
"""

from __future__ import annotations

from itertools import pairwise

from nasformer.cost import Bounds, merge
from nasformer.errors import BudgetError
from nasformer.space import FeasibleSet
from nasformer.space.bounded import bounded
from nasformer.space.filtered import FilteredSet
from nasformer.training.sampling._parts import without_skips
from nasformer.training.sampling._sampler import SubnetSampler


def cost_bins(sampler: SubnetSampler, count: int) -> list[FeasibleSet]:
    """Return the parts of a feasible set by MACs, ascending; bins without members are left out.

    Their ends are in geometric progression between the smallest and the largest subnet that skip no branch. The outer
    ones are open, so each feasible subnet is in one bin.

    Args:
        sampler: Its feasible set is divided.
        count: Number of bins, at least 1.

    Raises:
        BudgetError: MACs and budget have too many distinct sums.
    """
    space, limits = sampler.space, sampler.feasible.limits
    low, high = _ends(sampler)
    inner = [round(low * (high / low) ** (number / count)) for number in range(1, count)]
    found: list[FeasibleSet] = []
    for first, last in pairwise([None, *inner, None]):
        within = Bounds(first, None if last is None else last - 1)
        try:
            found.append(bounded(space, merge(limits, {"macs": within})))
        except BudgetError as error:
            fault = error
    if not found:
        raise fault
    return found


def _ends(sampler: SubnetSampler) -> tuple[float, float]:
    """Return the fewest and the most MACs of subnets that skip no branch; under a black-box cost bounds of them."""
    try:
        within = bounded(without_skips(sampler.space), sampler.feasible.limits)
    except BudgetError:  # only networks that skip a branch meet it
        within = sampler.feasible
    return (within.proposed if isinstance(within, FilteredSet) and not within.countable else within).bounds("macs")
