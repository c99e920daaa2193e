"""Partial sums against every path written out, also where one layer is no sum of its genes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nasformer.cost import Bounds
from nasformer.errors import BudgetError
from nasformer.space import CountedSet, SearchSpace, choice, per_layer
from nasformer.space.partial_sums import PartialSums

LARGE = 2**40  # two such columns do not fit into one 64-bit key


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[NDArray[np.int64]], int]:
    costs, unit = draw(st.integers(1, 2)), draw(st.sampled_from([1, 7, LARGE]))
    cost = st.lists(st.integers(0, 4), min_size=costs, max_size=costs)
    steps = draw(st.lists(st.lists(cost, min_size=1, max_size=4), min_size=1, max_size=2))
    return [np.array(step, dtype=np.int64) * unit for step in steps], draw(st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_against_all_paths(table: tuple[list[NDArray[np.int64]], int], random: object) -> None:
    steps, layers = table
    sums = PartialSums(steps, layers)
    level = sums.after(layers)
    paths = [np.array(path).reshape(layers, len(steps)) for path in product(*(range(len(s)) for s in steps * layers))]
    totals: dict[tuple[int, ...], list[bytes]] = {}
    for path in paths:
        cost = sum((steps[at % len(steps)][option] for at, option in enumerate(path.flat)), start=0 * steps[0][0])
        totals.setdefault(tuple(cost.tolist()), []).append(path.astype(np.int64).tobytes())

    assert sorted(map(tuple, level.sums.tolist())) == sorted(totals)
    assert sums.counts(layers).tolist() == [len(totals[tuple(row)]) for row in level.sums.tolist()]
    np.testing.assert_allclose(level.probability, sums.counts(layers).astype(float) / len(paths))

    scores = [np.random.default_rng(at).normal(size=len(step)) for at, step in enumerate(steps * layers)]
    values, options = sums.best(layers, scores)
    for index, row in enumerate(map(tuple, level.sums.tolist())):
        every = sums.expand(layers, np.array([index]))
        assert sorted(path.tobytes() for path in every) == sorted(totals[row])
        drawn = sums.walk(layers, np.full(20, index), np.random.default_rng(0))
        assert {path.tobytes() for path in drawn} <= set(totals[row])
        worth = [sum(score[o] for score, o in zip(scores, path.flat, strict=True)) for path in every]
        assert values[-1][index] == pytest.approx(max(worth))
        assert worth[
            [path.tobytes() for path in every].index(sums.trace(layers, index, options).tobytes())
        ] == pytest.approx(max(worth))


def test_a_layer_that_is_no_sum_of_its_genes_is_counted_as_exactly() -> None:
    space = SearchSpace(
        "pairs", embed_dim=choice(8, 16), depth=choice(1, 2, 3), num_heads=per_layer(1, 2, 3), mlp_ratio=per_layer(1, 2)
    )
    everything = space.feasible().codes()
    shape = (2, 3, 2)
    rng = np.random.default_rng(0)
    space.codec.layer_table = {name: rng.integers(1, 9, shape) for name in ("params", "macs")}
    space.codec.stem_table = {name: rng.integers(1, 9, 2) for name in ("params", "macs")}
    params, macs = space.params_batch(everything), space.macs_batch(everything)
    for limits in ({"params": Bounds(9, 15)}, {"macs": Bounds(None, 14), "params": Bounds(12, None)}):
        inside = np.ones(len(everything), dtype=bool)
        for name, costs in (("params", params), ("macs", macs)):
            inside &= [cost in limits.get(name, Bounds(None, None)) for cost in costs]
        feasible = CountedSet(space, limits)
        wanted = sorted(everything[inside].tolist())
        assert 50 < len(wanted) < len(everything)
        assert sorted(feasible.codes().tolist()) == wanted
        assert feasible.count() == len(wanted)
        assert feasible.bounds("macs") == (macs[inside].min(), macs[inside].max())
        assert sorted(np.unique(feasible.sample_codes(5000), axis=0).tolist()) == wanted
        scores = {"layers": [{"num_heads": {1: 0.3, 2: -0.2}, "mlp_ratio": {1: 0.1}}, {"mlp_ratio": {2: 0.7}}]}
        best = space.encode([feasible.argmax(scores)])[0].tolist()
        assert best in wanted
        assert sorted(space.feasible().reachable()["num_heads"]) == [1, 2, 3]


def test_too_many_sums_are_refused_rather_than_run_out_of_memory() -> None:
    steps = [np.arange(1500)[:, None] * 1500, np.arange(1500)[:, None]]
    with pytest.raises(BudgetError, match="more than 2,000,000 distinct sums"):
        PartialSums(steps, 1)
