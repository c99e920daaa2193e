"""Random spaces small enough that brute force lists them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nasformer.architecture import Architecture
from nasformer.space import Dimension, SearchSpace, choice, per_layer


def _values(options: list[float], most: int) -> SearchStrategy[list[float]]:
    return st.lists(st.sampled_from(options), min_size=1, max_size=most, unique=True)


@st.composite
def _spaces(draw: st.DrawFn) -> SearchSpace:
    def layers(options: list[float], most: int) -> Dimension:
        return draw(st.sampled_from([choice, per_layer, per_layer]))(*draw(_values(options, most)))

    return SearchSpace(
        "random",
        embed_dim=choice(*draw(_values([4, 6, 8, 20], 3))),
        depth=choice(*draw(_values([1, 2, 3], 2))),
        num_heads=layers([1, 2, 3, 5], 3),
        mlp_ratio=layers([0.5, 1.0, 1.75, 4.0], 2),
        head_dim=draw(st.sampled_from([1, 4])),
        image_size=6,
        patch_size=draw(st.sampled_from([2, 3])),
        in_channels=draw(st.integers(1, 3)),
        num_classes=draw(st.integers(1, 9)),
        max_distance=draw(st.none() | st.integers(1, 3)),
        pooling=draw(st.sampled_from(["mean", "cls"])),
    )


@pytest.fixture(scope="session")
def small_spaces() -> SearchStrategy[SearchSpace]:
    """At most 756 architectures each, of free, shared and fixed dimensions."""
    return _spaces()


@pytest.fixture(scope="session")
def brute_force() -> Callable[[SearchSpace], list[Architecture]]:
    """Every architecture of a space, by its declaration alone."""

    def listed(dimension: Dimension, depth: int) -> list[tuple[float, ...]]:
        shared = isinstance(dimension, choice)
        return [(v,) * depth for v in dimension] if shared else list(product(dimension, repeat=depth))

    def everything(space: SearchSpace) -> list[Architecture]:
        return [
            Architecture(int(embed), heads, ratios)  # type: ignore[arg-type]
            for embed, depth in product(space.embed_dim, space.depth)
            for heads, ratios in product(listed(space.num_heads, int(depth)), listed(space.mlp_ratio, int(depth)))
        ]

    return everything
