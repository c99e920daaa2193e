"""Feasible sets, counted and enumerated, against brute force on random small spaces and budgets."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nasformer.architecture import Architecture, uniform
from nasformer.cost import Bounds, Limits
from nasformer.errors import BudgetError, SpaceError
from nasformer.space import CountedSet, EnumeratedSet, FeasibleSet, SearchSpace, choice, load_space, per_layer

BruteForce = Callable[[SearchSpace], list[Architecture]]
Make = Callable[[SearchSpace, Iterable[Architecture], Limits], FeasibleSet]
MAKERS: dict[str, Make] = {"counted": lambda space, _, limits: CountedSet(space, limits), "enumerated": EnumeratedSet}
both = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@st.composite
def limits_of(draw: st.DrawFn, space: SearchSpace, everything: Sequence[Architecture]) -> Limits:
    """Bounds on one cost, on both or on none, that often hit a reachable cost exactly."""

    def bounds(cost: Callable[[Architecture], int]) -> Bounds:
        costs = sorted({cost(architecture) for architecture in everything})
        ends = sorted(draw(st.sampled_from(costs)) + draw(st.sampled_from([-1, 0, 0, 1])) for _ in range(2))
        return draw(
            st.sampled_from([Bounds(*ends), Bounds(None, ends[1]), Bounds(ends[0], None), Bounds(None, ends[0])])
        )

    names = draw(st.sampled_from([["params"], ["macs"], ["params", "macs"], ["macs", "params"], []]))
    return {name: bounds(getattr(space, name)) for name in names}


def within(space: SearchSpace, everything: Iterable[Architecture], limits: Limits) -> list[Architecture]:
    def holds(architecture: Architecture, name: str, bounds: Bounds) -> bool:
        cost = getattr(space, name)(architecture)
        return (bounds.low is None or bounds.low <= cost) and (bounds.high is None or cost <= bounds.high)

    return [a for a in everything if all(holds(a, name, bounds) for name, bounds in limits.items())]


@both
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_it_is_what_brute_force_finds(
    make: Make, small_spaces: SearchStrategy[SearchSpace], brute_force: BruteForce, data: st.DataObject
) -> None:
    space = data.draw(small_spaces)
    everything = brute_force(space)
    limits = data.draw(limits_of(space, everything))
    members = within(space, everything, limits)
    if not members:
        with pytest.raises(BudgetError, match=r"(params|macs) (<|>)= [0-9]+|<= (params|macs) <= [0-9]+"):
            make(space, everything, limits)
        return
    feasible = make(space, everything, limits)
    assert feasible.count() == len(members)
    assert Counter(space.decode(feasible.codes())) == Counter(members)
    assert {architecture for architecture in everything if architecture in feasible} == set(members)
    for name in ("params", "macs"):
        costs = [getattr(space, name)(architecture) for architecture in members]
        assert feasible.bounds(name) == (min(costs), max(costs))
    assert {key: set(values) for key, values in feasible.reachable().items()} == {
        "embed_dim": {a.embed_dim for a in members},
        "depth": {a.depth for a in members},
        "num_heads": {heads for a in members for heads in a.num_heads},
        "mlp_ratio": {ratio for a in members for ratio in a.mlp_ratio},
    }
    assert all(list(values) == sorted(values) for values in feasible.reachable().values())
    alike = [a for a in members if len(set(a.num_heads)) == len(set(a.mlp_ratio)) == 1]
    plain = feasible.uniform()
    assert Counter(plain) == Counter(alike)
    assert [space.params(a) for a in plain] == sorted(space.params(a) for a in alike)
    priors: tuple[Literal["dimensions", "architectures"], ...] = ("dimensions", "architectures")
    for prior in priors:
        assert set(feasible.sample(50, seed=3, prior=prior)) <= set(members)


# Scores and repair


def tabled(space: SearchSpace, numbers: Callable[[], float]) -> dict[str, Any]:
    def table(key: str) -> dict[str, float]:
        return {str(value): numbers() for value in getattr(space, key)}

    layers = [{key: table(key) for key in ("num_heads", "mlp_ratio")} for _ in range(int(max(space.depth)))]
    return {"embed_dim": table("embed_dim"), "depth": table("depth"), "layers": layers}


def score(scores: dict[str, Any], architecture: Architecture) -> float:
    total: float = scores["embed_dim"][str(architecture.embed_dim)] + scores["depth"][str(architecture.depth)]
    for layer, heads, ratio in zip(scores["layers"], architecture.num_heads, architecture.mlp_ratio, strict=False):
        total += layer["num_heads"][str(heads)] + layer["mlp_ratio"][str(ratio)]
    return total


@both
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_argmax_is_the_best_of_brute_force(
    make: Make, small_spaces: SearchStrategy[SearchSpace], brute_force: BruteForce, data: st.DataObject
) -> None:
    space = data.draw(small_spaces)
    everything = brute_force(space)
    limits = data.draw(limits_of(space, everything))
    members = within(space, everything, limits)
    assume(members)
    scores = tabled(space, np.random.default_rng(data.draw(st.integers(0, 99))).normal)
    best = make(space, everything, limits).argmax(scores)
    assert best in members
    assert score(scores, best) == pytest.approx(max(score(scores, member) for member in members), abs=1e-9)


def position(choices: Sequence[float], value: float) -> float:
    """Where a value lies among sorted choices, counted in steps from the first."""
    if not choices[0] < value < choices[-1]:
        return 0.0 if value <= choices[0] else len(choices) - 1.0
    left = bisect_right(choices, value) - 1
    return left + (value - choices[left]) / (choices[left + 1] - choices[left])


def distance(space: SearchSpace, one: Architecture, other: Architecture) -> float:
    def steps(key: str, first: float, second: float) -> float:
        choices = getattr(space, key).values
        return abs(position(choices, first) - position(choices, second))

    layers = [
        steps(key, first, second)
        for key in ("num_heads", "mlp_ratio")
        for first, second in zip(getattr(one, key), getattr(other, key), strict=False)
    ]
    return steps("embed_dim", one.embed_dim, other.embed_dim) + steps("depth", one.depth, other.depth) + sum(layers)


@both
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_repair_gives_a_nearest_member(
    make: Make, small_spaces: SearchStrategy[SearchSpace], brute_force: BruteForce, data: st.DataObject
) -> None:
    space = data.draw(small_spaces)
    everything = brute_force(space)
    limits = data.draw(limits_of(space, everything))
    members = within(space, everything, limits)
    assume(members)
    layers = st.lists(st.tuples(st.integers(1, 6), st.sampled_from([0.4, 0.5, 1.2, 4, 5])), min_size=1, max_size=4)
    strangers = st.builds(lambda e, rows: Architecture(e, *zip(*rows, strict=True)), st.integers(3, 25), layers)
    broken = data.draw(st.sampled_from(everything) | strangers)
    repaired = make(space, everything, limits).repair(broken)
    assert repaired in members
    nearest = min(distance(space, broken, member) for member in members)
    assert distance(space, broken, repaired) == pytest.approx(nearest, abs=1e-9)
    if broken in members:
        assert repaired is broken


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Both layer dimensions free; 2 · (6 + 36) architectures."""
    return SearchSpace(
        "small",
        embed_dim=choice(8, 16),
        depth=choice(1, 2),
        num_heads=per_layer(1, 2, 3),
        mlp_ratio=per_layer(1, 2),
        head_dim=4,
        image_size=4,
        patch_size=2,
        num_classes=10,
        max_distance=None,
    )


@both
def test_repair_breaks_ties_towards_the_smaller(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, list(reversed(brute_force(space))), {})
    assert feasible.repair(uniform(12, 1, 2, 1)) == uniform(8, 1, 2, 1)
    assert feasible.repair(Architecture(16, (2,), (1.5,))) == Architecture(16, (2,), (1,))


@both
@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"embed_dim": {"9": 1}}, "embed_dim '9' has a score but is not among 8, 16"),
        ({"embed_dim": {"eight": 1}}, "embed_dim 'eight' has a score but is not among 8, 16"),
        ({"embed_dim": {"8": "high"}}, "embed_dim .*'high'"),
        ({"embed_dim": {"8": float("nan")}}, "embed_dim .*nan"),
        ({"embed_dim": 3}, "embed_dim .*3"),
        ({"heads": {}}, "scores know embed_dim, depth and layers, got 'heads'"),
        ({"layers": [{}, {}, {}]}, "scores for 3 layers, but the deepest has 2"),
        ({"layers": [{"embed_dim": {}}]}, "a layer's scores know num_heads and mlp_ratio, got 'embed_dim'"),
        ({"layers": [{"num_heads": {4: 1}}]}, "num_heads 4 has a score but is not among 1, 2, 3"),
        ({"layers": [3]}, "layer.*3"),
    ],
)
def test_scores_of_another_space_are_refused(
    make: Make, space: SearchSpace, brute_force: BruteForce, scores: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpaceError, match=words):
        make(space, brute_force(space), {}).argmax(scores)


@both
def test_minus_infinity_forbids_a_choice(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, brute_force(space), {})
    assert feasible.argmax({"embed_dim": {8: -np.inf}}).embed_dim == 16
    assert feasible.argmax({"embed_dim": {8: -np.inf, 16: -np.inf}}) in feasible


# Sampling


def p_value(
    feasible: FeasibleSet, prior: Literal["dimensions", "architectures"], weight: Callable[[Architecture], float]
) -> float:
    """Chance of draws as uneven as these, were architectures drawn in proportion to their weight."""
    members = feasible.space.decode(feasible.codes())
    weights = np.array([weight(member) for member in members])
    drawn = Counter(feasible.sample(20_000, seed=5, prior=prior))
    expected = 20_000 * weights / weights.sum()
    assert expected.min() > 5
    return float(scipy.stats.chisquare([drawn[member] for member in members], expected).pvalue)


@both
@pytest.mark.parametrize("tied", [(), ("num_heads",), ("mlp_ratio",), ("num_heads", "mlp_ratio")], ids=str)
def test_each_prior_is_drawn_exactly(
    make: Make, space: SearchSpace, brute_force: BruteForce, tied: tuple[str, ...]
) -> None:
    changes = {key: choice(*getattr(space, key)) for key in tied}
    space = SearchSpace.from_dict({**space.to_dict(), **changes})
    options = prod(float(len(getattr(space, key))) for key in ("num_heads", "mlp_ratio") if key not in tied)
    everything = brute_force(space)
    costs = sorted(space.params(architecture) for architecture in everything)
    limits = {"params": Bounds(costs[len(costs) // 6], costs[-2])}
    feasible = make(space, everything, limits)
    assert len({architecture.depth for architecture in feasible.sample(99)}) == 2
    assert p_value(feasible, "architectures", lambda _: 1.0) > 0.01
    assert p_value(feasible, "dimensions", lambda architecture: options**-architecture.depth) > 0.01
    if options > 1:  # the test can tell them apart
        assert p_value(feasible, "architectures", lambda architecture: options**-architecture.depth) < 1e-9
        assert p_value(feasible, "dimensions", lambda _: 1.0) < 1e-9


@both
def test_the_seed_decides(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible, again = (make(space, brute_force(space), {"params": Bounds(None, 3000)}) for _ in range(2))
    first = feasible.sample(30, seed=1)
    assert first == again.sample(30, seed=1) == space.decode(feasible.sample_codes(30, seed=1))
    assert first != feasible.sample(30, seed=2)
    rng = np.random.default_rng(1)
    assert first == feasible.sample(30, seed=rng) != feasible.sample(30, seed=rng)
    assert feasible.sample(0) == []


@both
def test_what_is_no_prior_or_cost_is_refused(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, brute_force(space), {})
    with pytest.raises(BudgetError, match="prior is 'dimensions' or 'architectures', got 'depth'"):
        feasible.sample(1, prior="depth")  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="'parms'; did you mean 'params'"):
        feasible.bounds("parms")
    with pytest.raises(BudgetError, match="84 architectures are more than the limit of 83"):
        feasible.codes(limit=83)


def test_an_enumerated_set_is_its_members_in_the_space_once(space: SearchSpace) -> None:
    known = [uniform(8, 1, 1, 1), uniform(16, 2, 3, 2), uniform(8, 1, 1, 1), uniform(12, 1, 1, 1), uniform(8, 2, 1, 2)]
    feasible = EnumeratedSet(space, iter(known), {"params": Bounds(None, space.params(uniform(8, 2, 1, 2)))})
    assert set(space.decode(feasible.codes())) == {uniform(8, 1, 1, 1), uniform(8, 2, 1, 2)}
    assert uniform(8, 1, 2, 1) not in feasible
    assert feasible.repair(uniform(16, 2, 1, 2)) == uniform(8, 2, 1, 2)
    assert feasible.uniform() == [uniform(8, 1, 1, 1), uniform(8, 2, 1, 2)]


# Budgets that nothing meets


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


# AutoFormer's spaces


@pytest.mark.parametrize(
    ("name", "limits", "count"), [("tiny", (5e6, 6e6), 14_475_214), ("small", (18e6, 23e6), 11_042_907_232_569)]
)
def test_the_published_budgets(reference: Path, name: str, limits: tuple[float, float], count: int) -> None:
    space = load_space(f"autoformer-{name}")
    surrogate = json.loads((reference / "imagenet-inherited" / f"surrogate_{name}.json").read_text())
    optimum = surrogate["exact_optimum"]
    scores = {key: surrogate[key] for key in ("embed_dim", "depth", "layers")}
    feasible = space.feasible(params=limits)
    assert feasible.count() == surrogate["feasible_architectures"] == count
    if name == "tiny":
        scores["embed_dim"]["240"] = -1e9  # the table never saw it, and nothing so wide is within these limits
    best = feasible.argmax(scores)
    assert (best.embed_dim, best.depth, space.params(best)) == (
        optimum["embed_dim"],
        optimum["depth"],
        optimum["params"],
    )
    assert surrogate["intercept"] + score(scores, best) == pytest.approx(optimum["top1"], abs=1e-9)
    assert best in feasible
    low, high = feasible.bounds("params")
    assert limits[0] <= low < high <= limits[1]
    drawn = space.params_batch(feasible.sample_codes(10_000))
    assert low <= drawn.min() < drawn.max() <= high
    assert len(np.unique(feasible.sample_codes(1000), axis=0)) == 1000


def test_the_dimensions_prior_is_what_rejection_draws() -> None:
    space = load_space("autoformer-tiny")
    codes = space.sample_codes(400_000, seed=1)
    costs = space.params_batch(codes)
    kept = codes[(costs >= 5_000_000) & (costs <= 6_000_000)]
    drawn = space.feasible(params=(5e6, 6e6)).sample_codes(20_000, seed=2)
    for column in (1, *range(2, 14), *range(16, 28)):
        counts = [np.bincount(rows[:, column], minlength=3) for rows in (kept, drawn)]
        table = np.array([row for row in zip(*counts, strict=True) if sum(row)]).T
        assert scipy.stats.chi2_contingency(table).pvalue > 1e-3


def test_everything_is_counted_without_limits() -> None:
    for name, depths in (("tiny", range(12, 15)), ("small", range(12, 15)), ("base", range(14, 17))):
        space = load_space(f"autoformer-{name}")
        pairs = len(space.num_heads) * len(space.mlp_ratio)
        assert space.feasible().count() == space.size() == 3 * sum(pairs**depth for depth in depths)
