"""The best by an additive score, and the nearest, against brute force."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nasformer.architecture import Architecture, uniform
from nasformer.cost import Limits
from nasformer.errors import BudgetError, SpaceError
from nasformer.space import FeasibleSet, Scores, SearchSpace, load_space

Spaces = SearchStrategy[SearchSpace]
BruteForce = Callable[[SearchSpace], list[Architecture]]
Make = Callable[[SearchSpace, Iterable[Architecture], Limits], FeasibleSet]
LimitsOf = Callable[[SearchSpace, Sequence[Architecture]], SearchStrategy[Limits]]
Within = Callable[[SearchSpace, Iterable[Architecture], Limits], list[Architecture]]


def tabled(space: SearchSpace, numbers: Callable[[], float], *, pairs: bool = False) -> dict[str, Any]:
    def table(key: str) -> dict[str, float]:
        return {str(value): numbers() for value in getattr(space, key)}

    names = {scope: [d.name for d in space.dimensions if d.scope == scope] for scope in ("network", "layer")}
    layers = [{key: table(key) for key in names["layer"]} for _ in range(int(max(space.depth)))]
    if pairs:
        for layer in layers:
            layer["pair"] = {f"{heads},{ratio}": numbers() for heads in space.num_heads for ratio in space.mlp_ratio}
    return {**{key: table(key) for key in names["network"]}, "layers": layers}


def score(scores: dict[str, Any], architecture: Architecture) -> float:
    total = 0.0
    for key, table in scores.items():
        total += 0.0 if key == "layers" else table[str(getattr(architecture, key))]
    for place, layer in enumerate(scores["layers"][: architecture.depth]):
        heads, ratio = architecture.num_heads[place], architecture.mlp_ratio[place]
        total += sum(table[str(getattr(architecture, key)[place])] for key, table in layer.items() if key != "pair")
        total += layer.get("pair", {}).get(f"{heads},{ratio}", 0.0)
    return total


@settings(max_examples=60, deadline=None)
@given(data=st.data(), pairs=st.booleans(), whole=st.booleans())
def test_the_ranking_is_all_of_brute_force_in_order(
    make: Make,
    small_spaces: Spaces,
    brute_force: BruteForce,
    limits_of: LimitsOf,
    within: Within,
    data: st.DataObject,
    pairs: bool,
    whole: bool,
) -> None:
    space = data.draw(small_spaces)
    everything = brute_force(space)
    limits = data.draw(limits_of(space, everything))
    members = within(space, everything, limits)
    assume(members)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    scores = tabled(space, lambda: float(rng.integers(-2, 3)) if whole else rng.normal(), pairs=pairs)  # ties too
    feasible = make(space, everything, limits)
    order = list(feasible.ranked(scores))
    assert len(order) == len(set(order)) == len(members)
    assert set(order) == set(members)
    wanted = sorted((score(scores, member) for member in members), reverse=True)
    np.testing.assert_allclose([score(scores, a) for a in order], wanted, atol=1e-9)
    assert feasible.argmax(scores) == order[0]
    assert feasible.best(scores, 3) == order[:3]
    assert feasible.best(scores, 2, exclude=set(order[:2])) == order[2:4]
    assert feasible.best(scores, len(members) + 5) == order


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_each_embed_dim_may_have_scores_of_its_own(
    make: Make, small_spaces: Spaces, brute_force: BruteForce, limits_of: LimitsOf, within: Within, data: st.DataObject
) -> None:
    space = data.draw(small_spaces)
    everything = brute_force(space)
    limits = data.draw(limits_of(space, everything))
    members = within(space, everything, limits)
    assume(members)
    numbers, codec = np.random.default_rng(data.draw(st.integers(0, 99))).normal, space.codec
    widths, lengths = len(codec.values["embed_dim"]), {name: len(values) for name, values in codec.values.items()}
    tables = {d.name: numbers(size=lengths[d.name]) for d in codec.dimensions if d.scope == "network"}
    tables |= {d.name: numbers(size=(widths, codec.max_depth, lengths[d.name])) for d in codec.layer}
    shape = (widths, codec.max_depth, lengths["num_heads"], lengths["mlp_ratio"])
    pair = numbers(size=shape) if data.draw(st.booleans()) else None
    scores = Scores(tables, pair=pair)
    worth = {}
    for member, code in zip(members, space.encode(members), strict=True):
        index = {name: codec.genes(name, code[None])[0] for name in codec.values}
        e, layers = index["embed_dim"], range(member.depth)
        worth[member] = sum(tables[d.name][index[d.name]] for d in codec.dimensions if d.scope == "network")
        worth[member] += sum(tables[d.name][e, at, index[d.name][at]] for d in codec.layer for at in layers)
        if pair is not None:
            worth[member] += sum(pair[e, at, index["num_heads"][at], index["mlp_ratio"][at]] for at in layers)
    order = make(space, everything, limits).best(scores, 10)
    np.testing.assert_allclose([worth[a] for a in order], sorted(worth.values(), reverse=True)[:10], atol=1e-9)


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

    total = 0.0
    for dimension in space.dimensions:
        first, second = (getattr(each, dimension.name, None) for each in (one, other))
        if dimension.scope == "layer":
            total += sum(steps(dimension.name, *pair) for pair in zip(first or (), second or (), strict=False))
        elif first is not None and second is not None:
            total += steps(dimension.name, first, second)
    return total


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_repair_gives_a_nearest_member(
    make: Make, small_spaces: Spaces, brute_force: BruteForce, limits_of: LimitsOf, within: Within, data: st.DataObject
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


def test_repair_breaks_ties_towards_the_smaller(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, list(reversed(brute_force(space))), {})
    assert feasible.repair(uniform(12, 1, 2, 1)) == uniform(8, 1, 2, 1)
    assert feasible.repair(Architecture(16, (2,), (1.5,))) == Architecture(16, (2,), (1,))


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
        ({"layers": [{"embed_dim": {}}]}, "a layer's scores know num_heads, mlp_ratio and pair, got 'embed_dim'"),
        ({"layers": [{"num_heads": {4: 1}}]}, "num_heads 4 has a score but is not among 1, 2, 3"),
        ({"layers": [3]}, "layer.*3"),
        ({"layers": [{"pair": {"1,9": 1}}]}, "mlp_ratio '9' has a score but is not among 1.0, 2.0"),
        ({"layers": [{"pair": {(1, 1, 1): 1}}]}, r"a pair is \(heads, ratio\) or 'heads,ratio', got \(1, 1, 1\)"),
        ({"layers": [{"pair": 1}]}, "scores of pair are a mapping from 'heads,ratio' to score, got 1"),
        ({"layers": [{"pair": {(1, 1): np.inf}}]}, r"pair \(1, 1\) has the score inf"),
    ],
)
def test_scores_of_another_space_are_refused(
    make: Make, space: SearchSpace, brute_force: BruteForce, scores: dict[str, Any], words: str
) -> None:
    with pytest.raises(SpaceError, match=words):
        make(space, brute_force(space), {}).argmax(scores)


def test_scores_of_the_wrong_shape_are_refused(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible, zeros = make(space, brute_force(space), {}), Scores.zeros(space.codec)
    assert feasible.argmax(zeros) == space.smallest
    with pytest.raises(SpaceError, match=r"scores of num_heads are an array \(2, 3\), got \(3, 3\)"):
        feasible.argmax(replace(zeros, tables={**zeros.tables, "num_heads": np.zeros((3, 3))}))
    with pytest.raises(SpaceError, match=r"scores of pair are an array \(2, 3, 2\), got \(1, 2, 3, 2\)"):
        feasible.argmax(replace(zeros, pair=np.zeros((1, 2, 3, 2))))
    with pytest.raises(SpaceError, match="scores of depth are numbers below infinity, got nan"):
        feasible.argmax(replace(zeros, tables={"depth": np.array([0.0, np.nan])}))
    with pytest.raises(SpaceError, match="scores know embed_dim, depth, num_heads, mlp_ratio, got 'heads'"):
        feasible.argmax(Scores({"heads": np.zeros(3)}))
    with pytest.raises(BudgetError, match="k is how many to return, a whole number of 0 or more, got -1"):
        feasible.best(zeros, -1)


def test_keys_of_pairs_may_be_tuples_or_text(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, brute_force(space), {})
    for key in ((3, 1.0), "3,1.0", "3, 1"):
        assert feasible.argmax({"depth": {1: 5}, "layers": [{"pair": {key: 0.5}}]}) == Architecture(8, (3,), (1,))


def test_minus_infinity_forbids_a_choice(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, brute_force(space), {})
    assert feasible.argmax({"embed_dim": {8: -np.inf}}).embed_dim == 16
    assert feasible.argmax({"embed_dim": {8: -np.inf, 16: -np.inf}}) in feasible


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


def test_tables_one_after_the_other_are_read_with_a_warning(space: SearchSpace) -> None:
    zeros, feasible = Scores.zeros(space.codec), space.feasible()
    tables = [zeros.tables[name] for name in ("embed_dim", "depth", "num_heads", "mlp_ratio")]
    pair = np.zeros((2, 3, 2))
    pair[0, 2, 1] = 1.0
    with pytest.warns(DeprecationWarning, match="Scores takes tables by dimension"):
        old = [Scores(*tables, pair), Scores(*tables[:2], num_heads=tables[2], mlp_ratio=tables[3], pair=pair)]
    for scores in (*old, Scores(zeros.tables, pair=pair)):
        best = feasible.argmax(scores)
        assert (best.num_heads[0], best.mlp_ratio[0]) == (3, 2)
