"""Validation: what a declared space must add up to, each breach one line that names it."""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable, Mapping

from nasformer.architecture import Architecture, uniform
from nasformer.cost import COSTS, AdditiveCost, FunctionCost, Geometry, Limits, as_limits
from nasformer.errors import BudgetError, SpaceError, did_you_mean
from nasformer.space.dimension import Dimension

SEARCHED = ("embed_dim", "depth", "num_heads", "mlp_ratio")
_MOST = {"embed_dim": 10**6, "depth": 1000, "num_heads": 10**6, "mlp_ratio": 10**6}
"""More is a slip, and would fill the memory before anything else could say so."""
FIXED = ("head_dim", "image_size", "patch_size", "in_channels", "num_classes", "pooling", "max_distance")
KEYS = ("name", *SEARCHED, *FIXED, "supernet", "constraints")


def check_keys(name: object, unknown: Iterable[object]) -> None:
    """Refuse the first unknown key, with the nearest known one."""
    for key in unknown:
        raise SpaceError(f"space {name!r} has no dimension {key!r}; {did_you_mean(str(key), KEYS)}", key)


def check_complete(name: object, declared: Mapping[str, object]) -> None:
    """Refuse a declaration that lacks a dimension, or whose name is no text."""
    for key, value in declared.items():
        if value is None:
            raise SpaceError(f"space {name!r} lacks {key!r}", declared)
    if not isinstance(name, str) or not name:
        raise SpaceError(f"a space's name is text, got {name!r}", name)


def read_constraints(constraints: object) -> Limits:
    """Return declared constraints as bounds by cost."""
    try:
        return as_limits(constraints, COSTS)
    except BudgetError as error:
        raise SpaceError(f"constraints: {error}", constraints) from error


def check_cost_name(cost: object, known: Iterable[str]) -> None:
    """Refuse what is no cost, or one whose name no budget can have or is taken."""
    if not isinstance(cost, (AdditiveCost, FunctionCost)):
        raise BudgetError(f"a cost is an AdditiveCost or a FunctionCost, got {cost!r}", cost)
    if cost.name in known or cost.name in ("and", "resolution"):
        raise BudgetError(f"the name {cost.name!r} of a cost is taken; give it another", cost)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", cost.name):
        raise BudgetError(f"the name of a cost is one word of letters, digits and _, got {cost.name!r}", cost)


def read_maximum(dimensions: Mapping[str, Dimension], supernet: Mapping[str, float]) -> Architecture:
    """Return the sizes of the supernet: as declared, else the largest choices."""
    if not isinstance(supernet, Mapping):
        raise SpaceError(f"supernet is a mapping of {', '.join(SEARCHED)}, got {supernet!r}", supernet)
    for key in supernet:
        if key not in SEARCHED:
            raise SpaceError(f"supernet has no dimension {key!r}; {did_you_mean(str(key), SEARCHED)}", supernet)
    largest = {key: dimensions[key].values[-1] for key in SEARCHED}
    sizes = {**largest, **supernet}
    for key, value in sizes.items():
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not value <= _MOST[key]:
            raise SpaceError(f"supernet {key} is a number, {_MOST[key]:,} at most, got {value!r}", supernet)
        if value < largest[key]:
            raise SpaceError(
                f"supernet {key} {value!r} is below the largest choice {largest[key]:g}; raise it", supernet
            )
    for key in ("embed_dim", "depth", "num_heads"):
        if sizes[key] != int(sizes[key]):
            raise SpaceError(f"supernet {key} {sizes[key]!r} is no whole number", supernet)
    return uniform(int(sizes["embed_dim"]), int(sizes["depth"]), int(sizes["num_heads"]), float(sizes["mlp_ratio"]))


def read_geometry(
    image_size: int, patch_size: int, in_channels: int, num_classes: int, head_dim: int, max_distance: int | None
) -> Geometry:
    """Return the sizes that all architectures share, once they add up."""
    sizes = {
        "image_size": image_size,
        "patch_size": patch_size,
        "in_channels": in_channels,
        "num_classes": num_classes,
        "head_dim": head_dim,
    } | ({} if max_distance is None else {"max_distance": max_distance})
    for key, value in sizes.items():
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
            raise SpaceError(f"{key} must be a whole number of at least 1, got {value!r}", value)
    if image_size % patch_size:
        raise SpaceError(f"patch_size {patch_size} does not divide image_size {image_size}", (image_size, patch_size))
    whole = {"max_distance": None, **{key: int(size) for key, size in sizes.items()}}
    return Geometry(**whole)  # type: ignore[arg-type]
