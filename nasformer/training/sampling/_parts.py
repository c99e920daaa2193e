"""Parts of a space: without skipped branches, and with the choices that are open so far.

Choices open one at a time from the largest network on, as in EA-ViT (arXiv 2507.19360): first the layers' by descending
size, then the network's, last the skips. So the weights first learn to do without what hurts least.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasformer.cost import COSTS
from nasformer.dimension import Dimension
from nasformer.space import SearchSpace

ALWAYS_OPEN = ("patch_size", "image_size")
"""Sizes of the input, which shrink no weights."""

Opening = tuple[str, float]
"""A dimension, and the value that opens."""


def without_skips(space: SearchSpace) -> SearchSpace:
    """Return the space without skipped branches: if every layer is skipped, only the head learns."""
    values = {d.name: [value for value in d.values if value] for d in space.codec.layer if 0 in d.values}
    return _part(space, {name: own for name, own in values.items() if own})


def opening_order(space: SearchSpace) -> list[Opening]:
    """Return the values that the largest network lacks, in the order in which they open.

    >>> from nasformer.space import load_space
    >>> opening_order(load_space("digits"))[:5]
    [('num_heads', 3), ('mlp_ratio', 2.0), ('num_heads', 2), ('mlp_ratio', 1.0), ('embed_dim', 48)]
    """
    waiting = [
        (value == 0, dimension.scope == "network", rank, dimension.name, value)
        for dimension in _openable(space)
        for rank, value in enumerate(_descending(dimension)[1:])
    ]
    return [(name, value) for *_, name, value in sorted(waiting, key=lambda each: each[:3])]


def opened(space: SearchSpace, openings: Sequence[Opening]) -> SearchSpace:
    """Return the part of a space with the largest value of each dimension and those of ``openings``."""
    values = {dimension.name: [_descending(dimension)[0]] for dimension in _openable(space)}
    for name, value in openings:
        values[name].append(value)
    return _part(space, values)


def _openable(space: SearchSpace) -> list[Dimension]:
    return [dimension for dimension in space.dimensions if dimension.name not in ALWAYS_OPEN]


def _descending(dimension: Dimension) -> list[float]:
    """Return the values from the largest network to the smallest."""
    return sorted(dimension.values, reverse=dimension.kind.grows)


def _part(space: SearchSpace, values: Mapping[str, Sequence[float]]) -> SearchSpace:
    """Return a space with fewer values in some dimensions."""
    if not values:
        return space
    kept = {name: type(getattr(space, name))(*own).to_dict() for name, own in values.items()}
    further = [cost for name, cost in space.known_costs.items() if name not in COSTS]
    return SearchSpace.from_dict({**space.to_dict(), **kept}).with_cost(*further)
