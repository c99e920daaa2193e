"""bounded: the feasible set of a space under limits, of the kind that its costs and candidates call for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nasformer.architecture import Architecture
from nasformer.cost import FunctionCost, Limits
from nasformer.space.counted import CountedSet
from nasformer.space.enumerated import EnumeratedSet
from nasformer.space.feasible import FeasibleSet
from nasformer.space.filtered import FilteredSet

if TYPE_CHECKING:
    from nasformer.space.searchspace import SearchSpace


def bounded(
    space: SearchSpace,
    limits: Limits,
    *,
    known: Iterable[Architecture] | None = None,
    resolution: Mapping[str, float] | None = None,
) -> FeasibleSet:
    """Return the architectures within limits.

    Args:
        space: The space.
        limits: Bounds by the name of a cost that the space knows.
        known: The only candidates, as of a table; None: every member.
        resolution: Grid by cost, as ``CountedSet`` takes it.

    Raises:
        BudgetError: None is within the limits, or the sums are too many to be told apart.
    """
    if known is not None:
        return EnumeratedSet(space, known, limits)
    asked = {name: bounds for name, bounds in limits.items() if isinstance(space.known_costs[name], FunctionCost)}
    summed = {name: bounds for name, bounds in limits.items() if name not in asked}
    counted = CountedSet(space, summed, resolution)
    return FilteredSet(counted, asked) if asked else counted
