"""Rivals of a search: ViTs scaled by hand, in DeiT's proportions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

from nasformer.architecture import Architecture, uniform
from nasformer.space import SearchSpace

_MLP_RATIO = 4
_WIDTH_TO_DEPTH = 24
"""Width over depth, between those of DeiT-Ti (16) and DeiT-S (32)."""

_DEPTHS = range(2, 13)
_HEADS = range(2, 25)
_NEAR = 0.75
"""Least share of the most that such a ViT can use of a budget."""


def hand_scaled(space: SearchSpace, budget: Mapping[str, Any]) -> dict[str, Architecture]:
    """Return a ViT in DeiT's proportions for each patch size, by name; without those that no such ViT meets.

    Every layer has an MLP ratio of 4 and as many heads as the width holds; width over depth is nearest to DeiT's among
    the ViTs that use most of the budget (Touvron et al., ICML 2021). They need not be members of the space.
    """
    dimensions = {dimension.name: dimension.values for dimension in space.dimensions}
    patches = dimensions.get("patch_size", (None,))
    return {
        f"DeiT, patch {patch}" if patch else "DeiT": best
        for patch in patches
        if (best := _scaled(space, budget, patch))
    }


def _scaled(space: SearchSpace, budget: Mapping[str, Any], patch: float | None) -> Architecture | None:
    limits = space.feasible(**budget).limits
    further = {} if patch is None else {"patch_size": patch}
    grid = (
        uniform(space.geometry.head_dim * heads, depth, heads, _MLP_RATIO, **further)
        for heads, depth in product(_HEADS, _DEPTHS)
    )
    within = [each for each in grid if all(space.costs(each)[name] in ends for name, ends in limits.items())]
    if not within:
        return None
    most = max(map(space.macs, within))
    near = [each for each in within if space.macs(each) >= _NEAR * most]
    return min(near, key=lambda each: abs(math.log(each.embed_dim / each.depth / _WIDTH_TO_DEPTH)))
