"""Budgets that nothing meets say what would be met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis.strategies import SearchStrategy

from nasformer.architecture import Architecture, uniform
from nasformer.cost import Bounds, Limits
from nasformer.errors import BudgetError
from nasformer.space import EnumeratedSet, FeasibleSet, SearchSpace

Spaces = SearchStrategy[SearchSpace]
BruteForce = Callable[[SearchSpace], list[Architecture]]
Make = Callable[[SearchSpace, Iterable[Architecture], Limits], FeasibleSet]
LimitsOf = Callable[[SearchSpace, Sequence[Architecture]], SearchStrategy[Limits]]
Within = Callable[[SearchSpace, Iterable[Architecture], Limits], list[Architecture]]


def test_an_empty_budget_names_what_is_nearest(space: SearchSpace) -> None:
    least, most = space.params(space.smallest), space.params(space.largest)
    ends = rf"\(smallest member {least:,}, largest {most:,}\)"
    with pytest.raises(
        BudgetError, match=rf"no architecture of 'small' has params <= {least - 1}; .* is {least:,} {ends}"
    ):
        space.feasible(params=least - 1)
    with pytest.raises(
        BudgetError, match=rf"has params >= {most + 1}; the nearest reachable params is {most:,} {ends}"
    ):
        space.feasible(params=(most + 1, None))
    costs = sorted(set(space.params_batch(space.feasible().codes()).tolist()))
    below, above = max(pairwise(costs), key=lambda pair: pair[1] - pair[0])
    with pytest.raises(BudgetError, match=rf"the nearest reachable params is {below:,} and {above:,} {ends}"):
        space.feasible(params=(below + 1, above - 1))
    with pytest.raises(BudgetError, match="has params <= -5; the nearest reachable params is"):
        space.feasible(params=-5)


def test_limits_that_only_clash_together_say_so(space: SearchSpace) -> None:
    least, most = space.macs(space.smallest), space.params(space.largest)
    with pytest.raises(
        BudgetError, match=rf"though each limit can be met alone; under macs <= {least} params spans [0-9,]+ to"
    ):
        space.feasible(params=(most, None), macs=least)


def test_a_table_without_a_fitting_row_says_so(space: SearchSpace) -> None:
    with pytest.raises(BudgetError, match="none of the 1 architectures that the fitness knows has params <= 5"):
        EnumeratedSet(space, [space.largest, uniform(12, 1, 1, 1)], {"params": Bounds(None, 5)})
    with pytest.raises(BudgetError, match="none of the 0 architectures"):
        EnumeratedSet(space, [], {})


def test_a_search_obeys_the_spaces_own_constraints_too(space: SearchSpace) -> None:
    bounded = SearchSpace.from_dict({**space.to_dict(), "constraints": "params <= 2K"})
    assert bounded.feasible().count() == space.feasible(params=2000).count() < space.size()
    assert bounded.feasible(params=(1500, 9000)).count() == space.feasible(params=(1500, 2000)).count()
    assert bounded.feasible(params=(1500, 9000)).limits == {"params": (1500, 2000)}
    with pytest.raises(BudgetError, match=r"no architecture of 'small' has 4000 <= params <= 2000"):
        bounded.feasible(params=(4000, 9000))
