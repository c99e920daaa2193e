"""Costs of architectures in closed form, and budgets that bound them; no network is built."""

from nasformer.cost.additive import AdditiveCost
from nasformer.cost.budget import (
    Bounds,
    Cost,
    Limits,
    as_bounds,
    as_budgets,
    as_limits,
    between,
    format_limits,
    hull,
    in_counts,
    in_units,
    merge,
    parse_constraints,
    within,
)
from nasformer.cost.closed_form import COSTS, macs, official_complexity, params
from nasformer.cost.function import FunctionCost
from nasformer.cost.geometry import Geometry, Network, Pooling
from nasformer.cost.latency import LatencyTable
from nasformer.cost.series import Series
from nasformer.cost.variant import Variant

__all__ = [
    "COSTS",
    "AdditiveCost",
    "Bounds",
    "Cost",
    "FunctionCost",
    "Geometry",
    "LatencyTable",
    "Limits",
    "Network",
    "Pooling",
    "Series",
    "Variant",
    "as_bounds",
    "as_budgets",
    "as_limits",
    "between",
    "format_limits",
    "hull",
    "in_counts",
    "in_units",
    "macs",
    "merge",
    "official_complexity",
    "params",
    "parse_constraints",
    "within",
]
