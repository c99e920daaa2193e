"""bounded: the feasible set of a space within limits; costs and candidates determine its class."""

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
        limits: Bounds by known cost.
        known: The candidates, such as a table's rows; None: all members.
        resolution: Grid by cost, as in ``CountedSet``.

    Raises:
        BudgetError: None is within the limits, or there are too many distinct sums.
    """
    if known is not None:
        return EnumeratedSet(space, known, limits)
    black_box = {name: bounds for name, bounds in limits.items() if isinstance(space.known_costs[name], FunctionCost)}
    additive = {name: bounds for name, bounds in limits.items() if name not in black_box}
    counted = CountedSet(space, additive, resolution)
    return FilteredSet(counted, black_box) if black_box else counted
