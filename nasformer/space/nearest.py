"""nearest: explains infeasible limits by the nearest feasible costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasformer.cost import Bounds, Limits, format_limits, in_units
from nasformer.space.cases import find_cases, find_layer_groups

if TYPE_CHECKING:
    from nasformer.space.searchspace import SearchSpace


def nearest(space: SearchSpace, limits: Limits) -> str:
    """Return a message on infeasible limits that names the nearest costs."""
    wanted = f"no architecture of {space.name!r} has {format_limits(limits)}"
    for name, bounds in limits.items():
        totals = _totals(space, name)
        if any(total in bounds for total in totals):
            continue
        below = [total for total in totals if bounds.low is not None and total < bounds.low][-1:]
        above = [total for total in totals if bounds.high is not None and total > bounds.high][:1]
        found = " and ".join(f"{value:,}" for value in [*below, *above])
        return (
            f"{wanted}; the nearest reachable {name} is {found} (smallest member {totals[0]:,}, largest {totals[-1]:,})"
        )
    return f"{wanted}, though each limit can be met alone; {_without_first(space, limits)}"


def _totals(space: SearchSpace, name: str) -> list[float]:
    """Return all values of a cost, ascending."""
    scale = space.known_costs[name].scale
    assert scale is not None, name
    limits = {name: Bounds(None, None)}
    cases = find_cases(space.codec, limits, find_layer_groups(space.codec, limits))
    counts = np.unique(np.concatenate([case.totals() for case in cases]))
    return [in_units(count, scale) for count in counts.tolist()]


def _without_first(space: SearchSpace, limits: Limits) -> str:
    from nasformer.space.counted import CountedSet

    name, *others = limits
    rest = {other: limits[other] for other in others}
    least, most = CountedSet(space, rest).bounds(name)
    return f"under {format_limits(rest)} {name} spans {least:,} to {most:,}"
