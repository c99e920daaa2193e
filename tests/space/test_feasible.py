"""Feasible sets of every kind against brute force on random small spaces and budgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nasformer.architecture import Architecture, uniform
from nasformer.cost import Bounds, Limits
from nasformer.errors import BudgetError
from nasformer.space import EnumeratedSet, FeasibleSet, FilteredSet, SearchSpace, load_space

Spaces = SearchStrategy[SearchSpace]
BruteForce = Callable[[SearchSpace], list[Architecture]]
Make = Callable[[SearchSpace, Iterable[Architecture], Limits], FeasibleSet]
LimitsOf = Callable[[SearchSpace, Sequence[Architecture]], SearchStrategy[Limits]]
Within = Callable[[SearchSpace, Iterable[Architecture], Limits], list[Architecture]]


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_it_is_what_brute_force_finds(
    make: Make, small_spaces: Spaces, brute_force: BruteForce, limits_of: LimitsOf, within: Within, data: st.DataObject
) -> None:
    space = data.draw(small_spaces)
    everything = brute_force(space)
    limits = data.draw(limits_of(space, everything))
    members = within(space, everything, limits)
    if not members:
        with pytest.raises(BudgetError, match=r"(params|macs|odd) (<|>)= -?[0-9]+|<= (params|macs|odd) <= -?[0-9]+"):
            make(space, everything, limits)
        return
    feasible = make(space, everything, limits)
    assert feasible.count() == len(members)
    assert Counter(space.decode(feasible.codes())) == Counter(members)
    assert {architecture for architecture in everything if architecture in feasible} == set(members)
    for name in ("params", "macs", "odd"):
        costs = [space.costs(architecture)[name] for architecture in members]
        assert feasible.bounds(name) == (min(costs), max(costs))
    reachable = {key: set(values) for key, values in feasible.reachable().items()}
    occur: dict[str, set[float]] = {}
    for dimension in space.dimensions:
        values = [getattr(member, dimension.name) for member in members]
        layered = dimension.scope == "layer"
        occur[dimension.name] = {each for value in values for each in value} if layered else set(values)
    if isinstance(feasible, FilteredSet):  # it says what may occur
        assert all(occur[key] <= values for key, values in reachable.items())
    else:
        assert reachable == occur
    assert all(list(values) == sorted(values) for values in feasible.reachable().values())
    layers = [dimension.name for dimension in space.dimensions if dimension.scope == "layer"]
    alike = [a for a in members if all(len(set(getattr(a, name))) == 1 for name in layers)]
    alike = [a for a in alike if all(a.num_heads) and all(a.mlp_ratio)]
    plain = feasible.uniform()
    assert Counter(plain) == Counter(alike)
    assert [space.params(a) for a in plain] == sorted(space.params(a) for a in alike)
    priors: tuple[Literal["dimensions", "architectures"], ...] = ("dimensions", "architectures")
    for prior in priors:
        assert set(feasible.sample(50, seed=3, prior=prior)) <= set(members)


def test_the_seed_decides(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible, again = (make(space, brute_force(space), {"params": Bounds(None, 3000)}) for _ in range(2))
    first = feasible.sample(30, seed=1)
    assert first == again.sample(30, seed=1) == space.decode(feasible.sample_codes(30, seed=1))
    assert first != feasible.sample(30, seed=2)
    rng = np.random.default_rng(1)
    assert first == feasible.sample(30, seed=rng) != feasible.sample(30, seed=rng)
    assert feasible.sample(0) == []


def test_what_is_no_prior_or_cost_is_refused(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, brute_force(space), {})
    with pytest.raises(BudgetError, match="prior is 'dimensions' or 'architectures', got 'depth'"):
        feasible.sample(1, prior="depth")  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="'parms'; did you mean 'params'"):
        feasible.bounds("parms")
    with pytest.raises(BudgetError, match="84 architectures are more than the limit of 83"):
        feasible.codes(limit=83)


def test_a_list_of_codes_is_the_callers_own(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, brute_force(space), {})
    feasible.codes()[:] = 7
    assert len(space.decode(feasible.codes())) == 84
    assert all(architecture in space for architecture in feasible.sample(50))


def test_an_enumerated_set_is_its_members_in_the_space_once(space: SearchSpace) -> None:
    known = [uniform(8, 1, 1, 1), uniform(16, 2, 3, 2), uniform(8, 1, 1, 1), uniform(12, 1, 1, 1), uniform(8, 2, 1, 2)]
    feasible = EnumeratedSet(space, iter(known), {"params": Bounds(None, space.params(uniform(8, 2, 1, 2)))})
    assert set(space.decode(feasible.codes())) == {uniform(8, 1, 1, 1), uniform(8, 2, 1, 2)}
    assert uniform(8, 1, 2, 1) not in feasible
    assert feasible.repair(uniform(16, 2, 1, 2)) == uniform(8, 2, 1, 2)
    assert feasible.uniform() == [uniform(8, 1, 1, 1), uniform(8, 2, 1, 2)]


def test_everything_is_counted_without_limits() -> None:
    for name, depths in (("tiny", range(12, 15)), ("small", range(12, 15)), ("base", range(14, 17))):
        space = load_space(f"autoformer-{name}")
        pairs = len(space.num_heads) * len(space.mlp_ratio)
        assert space.feasible().count() == space.size() == 3 * sum(pairs**depth for depth in depths)
