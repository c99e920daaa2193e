"""Grid: every member once, evenly from the first on, and no list that is too long."""

from __future__ import annotations

from collections import Counter

import pytest

from nasformer.errors import StrategyError
from nasformer.space import load_space
from nasformer.strategies.grid import Grid
from nasformer.testing import Judge, stream

FEASIBLE = load_space("digits").feasible(params=(40e3, 80e3))


def test_every_member_is_asked_once() -> None:
    strategy = Grid(FEASIBLE, seed=1)
    asked = strategy.ask(20_000)
    assert len(asked) == len(set(asked)) == FEASIBLE.count()
    assert strategy.counts == {"duplicates": 0, "infeasible": 0, "replaced": 0}


def test_its_beginning_is_spread_over_the_set_and_no_corner() -> None:
    everything = Counter((each.embed_dim, each.depth) for each in Grid(FEASIBLE, seed=1).ask(20_000))
    beginning = Counter((each.embed_dim, each.depth) for each in Grid(FEASIBLE, seed=1).ask(100))
    for size, number in everything.items():
        assert beginning[size] == pytest.approx(100 * number / FEASIBLE.count(), abs=2)


def test_the_seed_says_where_it_begins_and_the_values_are_no_matter() -> None:
    first, other = (Grid(FEASIBLE, seed=seed).ask(20) for seed in (0, 1))
    assert first != other
    assert [a for batch in stream(Grid(FEASIBLE, seed=0), Judge(FEASIBLE), [5] * 4) for a in batch] == first


def test_a_set_that_is_too_large_is_refused() -> None:
    large = load_space("autoformer-tiny").feasible(params=(5e6, 6e6))
    with pytest.raises(StrategyError, match=r"at most limit=100,000 .*14,475,214 are feasible; tighten") as caught:
        Grid(large, seed=0)
    assert caught.value.value is large
    with pytest.raises(StrategyError, match="limit=500"):
        Grid(FEASIBLE, seed=0, limit=500)
    with pytest.raises(StrategyError, match="limit must be a whole number of at least 1, got 0"):
        Grid(FEASIBLE, seed=0, limit=0)
