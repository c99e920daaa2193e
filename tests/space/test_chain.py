"""Chains and their products against every path written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nasformer.errors import BudgetError
from nasformer.space.chain import Chain, Product, Steps, expand
from nasformer.space.ranking import MaxSums, PathSet, ranked
from nasformer.space.walk import Walk

LARGE = 2**40  # two such columns do not fit into one 64-bit key


@st.composite
def options(draw: st.DrawFn, costs: int) -> NDArray[np.int64]:
    cost = st.lists(st.integers(0, 4), min_size=costs, max_size=costs)
    unit = draw(st.sampled_from([1, 7, LARGE]))
    rows = draw(st.lists(cost, min_size=1, max_size=4))
    return np.array(rows, dtype=np.int64).reshape(len(rows), costs) * unit


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2).flatmap(options), st.integers(0, 4))
def test_a_chain_against_all_paths(costs: NDArray[np.int64], choices: int) -> None:
    chain = Chain(costs, choices)
    paths: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for path in product(range(len(costs)), repeat=choices):
        paths.setdefault(tuple(costs[list(path)].sum(axis=0).tolist()), []).append(path)
    sums = [tuple(row) for row in chain.sums(choices).tolist()]
    assert sorted(sums) == sorted(paths)
    assert chain.counts(choices).tolist() == [len(paths[row]) for row in sums]
    np.testing.assert_allclose(
        Walk(chain, choices).probability(choices), [len(paths[row]) / len(costs) ** choices for row in sums]
    )
    for at, row in enumerate(sums):
        assert sorted(map(tuple, expand(chain, choices, np.array([at])).tolist())) == sorted(paths[row])
        drawn = Walk(chain, choices).draw(choices, np.full(20, at), np.random.default_rng(0))
        assert set(map(tuple, drawn.tolist())) <= set(paths[row])


@settings(max_examples=60, deadline=None)
@given(options(1), options(1), st.integers(1, 3), st.integers(0, 9))
def test_a_product_ranks_pairs_of_paths(
    first: NDArray[np.int64], second: NDArray[np.int64], choices: int, seed: int
) -> None:
    pairs: Steps = Product(Chain(first, choices), Chain(second, choices))
    table = np.random.default_rng(seed).normal(size=(choices, pairs.options))
    path_set = PathSet(0, 0.0, (MaxSums(pairs, table),), choices, (np.arange(pairs.size(choices)),))
    paths = [tuple(path[0].tolist()) for _, path in ranked([path_set])]
    assert sorted(paths) == sorted(product(range(pairs.options), repeat=choices))
    worth = [sum(table[at, option] for at, option in enumerate(path)) for path in paths]
    np.testing.assert_allclose(worth, sorted(worth, reverse=True))


@settings(max_examples=40, deadline=None)
@given(options(2), st.integers(1, 4), st.integers(0, 9))
def test_a_walk_takes_only_what_is_allowed(costs: NDArray[np.int64], choices: int, seed: int) -> None:
    allowed = np.random.default_rng(seed).random((choices, len(costs))) < 0.6
    walk = Walk(Chain(costs, choices), choices, allowed)
    chances = walk.probability(choices)
    paths = list(product(*map(np.flatnonzero, allowed)))
    assert chances.sum() == pytest.approx(len(paths) / len(costs) ** choices)
    possible = np.flatnonzero(chances)
    drawn = walk.draw(choices, np.repeat(possible, 5), np.random.default_rng(0))
    assert set(map(tuple, drawn.tolist())) <= {tuple(map(int, path)) for path in paths}


def test_sums_that_end_nowhere_are_dropped() -> None:
    costs = np.arange(5)[:, None]
    whole, cut = Chain(costs, 6), Chain(costs, 6, lambda n, sums: sums[:, 0] <= 8)
    assert [cut.size(n) for n in range(7)] == [1, 5, 9, 9, 9, 9, 9] < [whole.size(n) for n in range(7)]
    assert cut.counts(6).tolist() == whole.counts(6)[:9].tolist()
    assert cut.cells < whole.cells


def test_too_many_sums_are_refused_before_they_fill_the_memory() -> None:
    costs = 3 ** np.arange(16)[:, None]
    with pytest.raises(BudgetError, match=r"tables of more than 1,000 entries .* resolution=") as e:
        Chain(costs, 6, cells=1000)
    assert "\n" not in str(e.value)
