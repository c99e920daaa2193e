"""Costs: closed forms on numbers, and the budgets that bound them. Nothing here touches a network."""

from nasformer.cost.budget import Bounds, Limits, as_bounds, as_limits, format_limits, merge, parse_constraints
from nasformer.cost.closed_form import COSTS, AdditiveCost, macs, official_complexity, params
from nasformer.cost.geometry import Geometry

__all__ = [
    "COSTS",
    "AdditiveCost",
    "Bounds",
    "Geometry",
    "Limits",
    "as_bounds",
    "as_limits",
    "format_limits",
    "macs",
    "merge",
    "official_complexity",
    "params",
    "parse_constraints",
]
