"""Validation of space declarations; each error is one line that names the key."""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, get_args

from nasformer.architecture import Architecture, uniform
from nasformer.cost import COSTS, AdditiveCost, FunctionCost, Geometry, Limits, Pooling, Series, Variant, as_limits
from nasformer.cost.variant import PLAIN
from nasformer.dimension import BASIC, Choices, Dimension, as_choices, kind_names, kind_of, per_layer
from nasformer.errors import BudgetError, SpaceError, did_you_mean

SEARCHED = tuple(kind.name for kind in BASIC)
FIXED = ("head_dim", "image_size", "patch_size", "in_channels", "num_classes", "pooling", "max_distance")
KEYS = ("name", *SEARCHED, *FIXED, "variant", "series", "supernet", "constraints")
_IMAGES = {"image_size": 224, "patch_size": 16, "in_channels": 3}


def check_keys(name: object, keys: Iterable[object]) -> None:
    """Reject unknown keys, suggesting the nearest known one."""
    known = {*KEYS, *kind_names()}
    for key in keys:
        if key not in known:
            raise SpaceError(f"space {name!r} has no dimension {key!r}; {did_you_mean(str(key), known)}", key)


def check_complete(name: object, declared: Mapping[str, object]) -> None:
    """Reject a declaration that lacks a dimension, or whose name is not text."""
    for key, value in declared.items():
        if value is None:
            raise SpaceError(f"space {name!r} lacks {key!r}", declared)
    if not isinstance(name, str) or not name:
        raise SpaceError(f"a space's name is text, got {name!r}", name)


def read_constraints(constraints: object) -> Limits:
    """Parse declared constraints."""
    try:
        return as_limits(constraints, COSTS)
    except BudgetError as error:
        raise SpaceError(f"constraints: {error}", constraints) from error


def check_cost_name(cost: object, known: Iterable[str]) -> None:
    """Reject objects that are not costs, and names that are invalid or taken."""
    if not isinstance(cost, (AdditiveCost, FunctionCost)):
        raise BudgetError(f"a cost is an AdditiveCost or a FunctionCost, got {cost!r}", cost)
    if cost.name in known or cost.name in ("and", "resolution"):
        raise BudgetError(f"the name {cost.name!r} of a cost is taken; give it another", cost)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", cost.name):
        raise BudgetError(f"the name of a cost is one word of letters, digits and _, got {cost.name!r}", cost)


def read_dimensions(
    basic: Mapping[str, object], further: Mapping[str, object]
) -> tuple[dict[str, Choices], tuple[Dimension, ...]]:
    """Return the declared choices by name, and the dimensions in the order of the codes.

    Geometry sizes with a single value are not dimensions.
    """
    choices = {name: as_choices(name, declared) for name, declared in basic.items()}
    for name in sorted(further):
        if name not in FIXED or len(_sizes(name, further[name])) > 1:
            choices[name] = as_choices(name, further[name])
    dimensions = tuple(
        Dimension(name, kind_of(name).scope, own.values, tied=not isinstance(own, per_layer))
        for name, own in choices.items()
    )
    _check_layers(choices["embed_dim"], choices["num_heads"], choices["mlp_ratio"])
    return choices, dimensions


def _check_layers(embed_dim: Choices, num_heads: Choices, mlp_ratio: Choices) -> None:
    """Reject spaces without attention, or with an MLP width of 0."""
    if num_heads.values == (0,):
        raise SpaceError("num_heads is 0 in all layers, a network without attention; list a number of heads", num_heads)
    narrowest = embed_dim.values[0] * min((ratio for ratio in mlp_ratio if ratio), default=1)
    if narrowest < 1:
        raise SpaceError(
            f"the smallest embed_dim times the smallest mlp_ratio is {narrowest:g}, below 1", (embed_dim, mlp_ratio)
        )


def read_variant(variant: Variant | Mapping[str, Any] | None) -> Variant:
    """Parse declared parts."""
    return variant if isinstance(variant, Variant) else Variant.from_dict({} if variant is None else variant)


def read_supernet(dimensions: Iterable[Dimension], supernet: Mapping[str, float]) -> Architecture:
    """Return the supernet's architecture: declared sizes, else the largest choices."""
    largest = {d.name: d.at(1.0) if d.name in FIXED else d.values[-1] for d in dimensions}
    growing = [name for name in largest if name not in FIXED]
    if not isinstance(supernet, Mapping):
        raise SpaceError(f"supernet is a mapping of {', '.join(growing)}, got {supernet!r}", supernet)
    for key in supernet:
        if key not in growing:
            raise SpaceError(f"supernet has no dimension {key!r}; {did_you_mean(str(key), growing)}", supernet)
    sizes: dict[str, Any] = {**largest, **supernet}
    value: Any
    for key in growing:
        value, kind = sizes[key], kind_of(key)
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not value <= kind.most:
            raise SpaceError(f"supernet {key} is a number, {kind.most:,} at most, got {value!r}", supernet)
        if value < largest[key]:
            raise SpaceError(
                f"supernet {key} {value!r} is below the largest choice {largest[key]:g}; raise it", supernet
            )
        if kind.whole and value % 1:
            raise SpaceError(f"supernet {key} {value!r} is not a whole number", supernet)
        sizes[key] = kind.number(value)
    return uniform(**sizes)


def read_input(series: Series | Mapping[str, Any] | None, **images: object) -> tuple[Series | None, dict[str, Any]]:
    """Return the series, and its sizes or those of the images by the names of ``Geometry``.

    Args:
        series: A declared series; None: images.
        **images: Declared sizes of images; None: the default.
    """
    given = {name: value for name, value in images.items() if value is not None}
    if series is None:
        return None, {**_IMAGES, **given}
    for name, value in given.items():
        raise SpaceError(f"a space of series has no {name}, got {value!r}; declare the sizes in series", value)
    series = series if isinstance(series, Series) else Series.from_dict(series)
    return series, {"image_size": series.length, "patch_size": series.patch, "in_channels": series.channels}


def check_pooling(pooling: object, searched: Iterable[str]) -> None:
    """Reject unknown poolings, and a flattened head if the resolution is searched."""
    known = get_args(Pooling)
    if pooling not in known:
        raise SpaceError(f"pooling is {', '.join(map(repr, known[:-1]))} or {known[-1]!r}, got {pooling!r}", pooling)
    if pooling == "flatten" and "image_size" in searched:
        raise SpaceError(
            "pooling 'flatten' reads a fixed number of patches; fix image_size, or take pooling 'mean'", pooling
        )


def read_geometry(
    sizes: Mapping[str, object],
    max_distance: object,
    series: Series | None = None,
    *,
    pooling: Pooling = "mean",
    variant: Variant = PLAIN,
) -> Geometry:
    """Validate and return the geometry; searched sizes are those of the largest network.

    Args:
        sizes: Numbers, or choices of searched sizes, by name.
        max_distance: Clipping distance of relative positions; None: none.
        series: The series; None: images.
        pooling: Input of the head.
        variant: Parts that a checkpoint fixes.
    """
    whole: dict[str, Any] = {"max_distance": None}
    for key, value in {**sizes, **({} if max_distance is None else {"max_distance": max_distance})}.items():
        number: Any = _sizes(key, value)[-1 if key != "patch_size" else 0]
        if not isinstance(number, numbers.Integral) or isinstance(number, bool) or number < 1:
            hint = "; to search it: {choice: […]}" if isinstance(value, list) else ""
            raise SpaceError(f"{key} must be a whole number of at least 1, got {value!r}{hint}", value)
        whole[key] = int(number)
    geometry = Geometry(**whole, variant=variant).with_pooling(pooling)
    _check_variant(geometry, pooling)
    if series is not None:
        return geometry.with_series(series)
    for image_size, patch_size in product(*(_sizes(key, sizes[key]) for key in ("image_size", "patch_size"))):
        if image_size % patch_size:
            raise SpaceError(
                f"patch_size {patch_size} does not divide image_size {image_size}", (image_size, patch_size)
            )
    return geometry


def _check_variant(g: Geometry, pooling: Pooling) -> None:
    """Reject parts that do not fit each other."""
    parts = g.variant
    if pooling in ("cls", "cls_mean") and not parts.class_token:
        raise SpaceError(f"pooling {pooling!r} reads the class token; set class_token, or pooling 'mean'", pooling)
    if {pooling == "map"} != {parts.pool_heads > 0, parts.pool_hidden > 0}:
        raise SpaceError("pooling 'map', and no other, has a variant with pool_heads and pool_hidden", pooling)
    if g.max_distance is not None and parts.prefix != 1:
        raise SpaceError(
            f"relative positions are for one token before the patches, got {parts.prefix}; set max_distance: null",
            g.max_distance,
        )


def _sizes(name: str, declared: object) -> tuple[Any, ...]:
    """Return the choices of a size, or its single value."""
    return as_choices(name, declared).values if isinstance(declared, (Choices, Mapping)) else (declared,)
