"""Local search: it climbs to where no neighbour is better, then climbs again from elsewhere."""

from __future__ import annotations

import random

import pytest

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.space import EnumeratedSet, load_space
from nasformer.strategies._neighbours import Neighbours
from nasformer.strategies.local_search import LocalSearch
from nasformer.testing import Judge, stream

DIGITS = load_space("digits").feasible()


def additive(architecture: Architecture) -> float:
    """Return a value with one optimum, the largest member."""
    return architecture.embed_dim / 16 + 20 * architecture.depth + sum(architecture.num_heads + architecture.mlp_ratio)


def searched(evaluations: int, **options: int) -> LocalSearch:
    strategy, judge = LocalSearch(DIGITS, seed=0, **options), Judge(DIGITS)
    judge.value = additive  # type: ignore[method-assign]
    stream(strategy, judge, [1] * evaluations)
    return strategy


def test_it_finds_the_optimum_of_an_additive_score() -> None:
    strategy = searched(120, starts=1)
    assert strategy.recommend() == [DIGITS.space.largest]


def test_a_climb_ends_where_no_neighbour_is_better() -> None:
    strategy = searched(400, starts=1)
    assert len(strategy.optima) > 1
    rng, known = random.Random(0), Neighbours(DIGITS)
    for number, optimum in enumerate(strategy.optima):
        neighbours = list(known.of(optimum.architecture, rng))
        assert neighbours
        better = [each for each in neighbours if additive(each) > additive(optimum.architecture)]
        assert not better or number > 0  # a later climb passes over what an earlier one has asked
        assert all(each in strategy.told for each in better)


@pytest.mark.parametrize("size", [1, 4, 30])
def test_the_order_of_tells_within_a_batch_is_no_matter(size: int) -> None:
    streams = []
    for turn in (1, -1):
        strategy, judge = LocalSearch(DIGITS, seed=0, starts=5), Judge(DIGITS)
        asked = []
        for _ in range(6):
            asked += (batch := strategy.ask(size))
            trials = judge.judge(batch)[::turn]
            strategy.tell(trials[:2])
            strategy.tell(trials[2:])
        streams.append(asked)
    assert streams[0] == streams[1]


def test_neighbours_keep_within_the_budget_and_still_change_the_width_and_the_depth() -> None:
    feasible = load_space("autoformer-small").feasible(params=(18e6, 23e6))
    known, rng = Neighbours(feasible), random.Random(0)
    for architecture in feasible.sample(5, seed=1):
        neighbours = list(known.of(architecture, rng))
        assert all(each in feasible and each != architecture for each in neighbours)
        assert {each.depth for each in neighbours} == {12, 13, 14}
        assert len({each.embed_dim for each in neighbours}) > 1


def test_the_neighbours_in_a_table_are_its_nearest_rows() -> None:
    space = load_space("digits")
    table = EnumeratedSet(space, space.sample(100, seed=0), {})
    architecture = table.sample(1, seed=3)[0]
    neighbours = list(Neighbours(table).of(architecture, random.Random(0)))
    assert len(set(neighbours)) == 32
    assert architecture not in neighbours
    assert all(each in table for each in neighbours)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(StrategyError, match="starts must be a whole number of at least 1, got 0"):
        LocalSearch(DIGITS, seed=0, starts=0)
