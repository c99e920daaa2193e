"""PrefixTree: every prefix once, and the work divided without a remainder."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasformer.architecture import Architecture, uniform
from nasformer.fitness.prefix_tree import PrefixTree, in_tree_order
from nasformer.space import load_space

SPACE = load_space("digits")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_blocks_are_the_distinct_prefixes_and_the_shares_add_up(n: int, seed: int) -> None:
    archs = list(dict.fromkeys(SPACE.sample(n, seed=seed)))
    prefixes = {(a.embed_dim, a.layers[:k]) for a in archs for k in range(1, a.depth + 1)}
    tree, shares = PrefixTree([*archs, *archs]), PrefixTree(archs).shares()
    assert (tree.blocks, tree.one_by_one) == (len(prefixes), sum(a.depth for a in archs))
    assert shares.keys() == set(archs)
    assert sum(shares.values()) == pytest.approx(tree.blocks + len(tree.roots))


def test_a_share_is_what_is_divided_among_those_that_begin_alike() -> None:
    alone, first = uniform(64, 2, 4, 2), uniform(32, 2, 4, 2)
    second = Architecture(32, (4, 2), (2, 2))
    shares = PrefixTree([alone, first, second]).shares()
    assert shares == {alone: 3.0, first: 2.0, second: 2.0}  # stem and first block halved


def test_tree_order_keeps_what_is_shared_together() -> None:
    archs = list(dict.fromkeys(SPACE.sample(60, seed=3)))
    ordered = in_tree_order(archs)
    assert set(ordered) == set(archs)
    cut = [PrefixTree(ordered[first : first + 20]).blocks for first in range(0, 60, 20)]
    assert sum(cut) - PrefixTree(archs).blocks <= 2 * 4  # two cuts through at most four layers


def test_networks_that_differ_as_a_whole_share_nothing_and_skipped_layers_are_free() -> None:
    small, large = (uniform(32, 2, 4, 2, patch_size=size) for size in (4, 8))
    tree = PrefixTree([small, large, large.replace(num_heads=(4, 0), mlp_ratio=(2, 0))])
    assert (len(tree.roots), tree.blocks, tree.one_by_one) == (2, 4, 5)
    assert sum(tree.shares().values()) == pytest.approx(tree.blocks + len(tree.roots))
