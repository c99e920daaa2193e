"""Draws against the exact distribution, with genes fixed and without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, Literal

import numpy as np
import pytest
import scipy.stats
from hypothesis.strategies import SearchStrategy

from nasformer.architecture import Architecture, uniform
from nasformer.cost import AdditiveCost, Bounds, Limits
from nasformer.errors import BudgetError, SpaceError
from nasformer.space import FeasibleSet, SearchSpace, choice, load_space

Spaces = SearchStrategy[SearchSpace]
BruteForce = Callable[[SearchSpace], list[Architecture]]
Make = Callable[[SearchSpace, Iterable[Architecture], Limits], FeasibleSet]
LimitsOf = Callable[[SearchSpace, Sequence[Architecture]], SearchStrategy[Limits]]
Within = Callable[[SearchSpace, Iterable[Architecture], Limits], list[Architecture]]

DRAWS = 10_000
Prior = Literal["dimensions", "architectures"]


def p_value(feasible: FeasibleSet, drawn: Counter[Architecture], weight: Callable[[Architecture], float]) -> float:
    """Chance of draws as uneven as these, were architectures drawn in proportion to their weight; 0: never."""
    members = [member for member in feasible.space.decode(feasible.codes()) if weight(member) > 0]
    weights = np.array([weight(member) for member in members])
    assert set(drawn) <= set(members)
    expected = DRAWS * weights / weights.sum()
    assert expected.min() > 5
    return float(scipy.stats.chisquare([drawn[member] for member in members], expected).pvalue)


def draw(feasible: FeasibleSet, prior: Prior, fixed: Any = None) -> Counter[Architecture]:
    return Counter(feasible.sample(DRAWS, seed=5, prior=prior, fixed=fixed))


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
    by_dimensions, by_architectures = draw(feasible, "dimensions"), draw(feasible, "architectures")
    assert p_value(feasible, by_architectures, lambda _: 1.0) > 1e-3
    assert p_value(feasible, by_dimensions, lambda architecture: options**-architecture.depth) > 1e-3
    if options > 1:  # the test can tell them apart
        assert p_value(feasible, by_architectures, lambda architecture: options**-architecture.depth) < 1e-9
        assert p_value(feasible, by_dimensions, lambda _: 1.0) < 1e-9


FIXED: list[tuple[Any, Callable[[Architecture], bool]]] = [
    ({"embed_dim": 16}, lambda a: a.embed_dim == 16),
    ({"depth": 2}, lambda a: a.depth == 2),
    ({"num_heads": 3}, lambda a: set(a.num_heads) == {3}),
    ({"num_heads": {0: 2}}, lambda a: a.num_heads[0] == 2),
    ({"mlp_ratio": {"1": 2}}, lambda a: a.depth == 2 and a.mlp_ratio[1] == 2),
    (
        {"embed_dim": 8, "num_heads": {1: 1}, "mlp_ratio": {0: 1}},
        lambda a: a.embed_dim == 8 and a.depth == 2 and a.num_heads[1] == 1 and a.mlp_ratio[0] == 1,
    ),
    (np.array([-1, -1, -1, 2, 0, -1]), lambda a: a.depth == 2 and a.num_heads[1] == 3 and a.mlp_ratio[0] == 1),
]


@pytest.mark.parametrize(("fixed", "holds"), FIXED, ids=[str(fixed) for fixed, _ in FIXED])
@pytest.mark.parametrize("cost", ["params", "odd"])
def test_draws_with_genes_fixed_are_the_prior_given_them(
    make: Make,
    space: SearchSpace,
    brute_force: BruteForce,
    cost: str,
    fixed: Any,
    holds: Callable[[Architecture], bool],
) -> None:
    odd = AdditiveCost(
        "odd",
        lambda _: 1,
        lambda network, own: (network.embed_dim * own.num_heads**2 + own.num_heads * own.hidden_dim) % 7,
    )
    space = space.with_cost(odd)  # its layers are no sums of their genes
    everything = brute_force(space)
    costs = sorted(space.codec.cost(cost, architecture) for architecture in everything)
    feasible = make(space, everything, {cost: Bounds(costs[5], costs[-5])})
    assert p_value(feasible, draw(feasible, "architectures", fixed), lambda a: float(holds(a))) > 1e-3
    assert p_value(feasible, draw(feasible, "dimensions", fixed), lambda a: holds(a) * 6.0**-a.depth) > 1e-3


def test_what_is_tied_is_fixed_in_all_layers(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    space = SearchSpace.from_dict({**space.to_dict(), "num_heads": choice(1, 2, 3)})
    feasible = make(space, brute_force(space), {})
    assert {a.num_heads for a in feasible.sample(99, fixed={"num_heads": {1: 2}})} == {(2, 2)}
    assert {a.num_heads for a in feasible.sample(99, fixed={"num_heads": 2})} == {(2,), (2, 2)}
    with pytest.raises(BudgetError, match=r"has {'num_heads': {0: 1, 1: 2}}"):
        feasible.sample(1, fixed={"num_heads": {0: 1, 1: 2}})


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"heads": 1}, "no gene 'heads' to fix; did you mean 'num_heads'"),
        ({"embed_dim": 9}, "embed_dim 9 cannot be fixed: it is not among 8, 16"),
        ({"embed_dim": "8"}, "embed_dim '8' cannot be fixed"),
        ({"num_heads": {2: 1}}, "num_heads is fixed by layer, 0 to 1, got layer 2"),
        ({"num_heads": {"first": 1}}, "got layer 'first'"),
        ({"mlp_ratio": [1, 2]}, r"mlp_ratio \[1, 2\] cannot be fixed"),
        (np.array([0, 0, 0]), r"a code to fix is integers \(6,\), got int64 \(3,\)"),
        (np.array([0, 0, 0, -2, 0, -1]), "a code to fix has -1 or 0 to 2 in column 3, got -2"),
        (np.array([2, 0, 0, -1, 0, -1]), "a code to fix has -1 or 0 to 1 in column 0, got 2"),
    ],
)
def test_genes_of_another_space_are_refused(
    make: Make, space: SearchSpace, brute_force: BruteForce, fixed: Any, words: str
) -> None:
    with pytest.raises(SpaceError, match=words):
        make(space, brute_force(space), {}).sample(1, fixed=fixed)


def test_genes_that_no_member_has_are_one_line(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, brute_force(space), {"params": Bounds(None, space.params(uniform(16, 1, 1, 1)) - 1)})
    with pytest.raises(BudgetError, match=r"within the limits has {'embed_dim': 16}; fix less") as e:
        feasible.sample(3, fixed={"embed_dim": 16})
    assert "\n" not in str(e.value)
    with pytest.raises(BudgetError, match="depth"):
        feasible.sample(1, fixed={"depth": 1, "num_heads": {1: 1}})


def test_how_many_to_draw_is_a_whole_number(make: Make, space: SearchSpace, brute_force: BruteForce) -> None:
    feasible = make(space, brute_force(space), {})
    assert len(feasible.sample(np.int64(2))) == 2  # type: ignore[arg-type]
    for n in (-1, 1.5, None):
        with pytest.raises(BudgetError, match=f"n is how many to draw, a whole number of 0 or more, got {n}"):
            feasible.sample(n)  # type: ignore[arg-type]


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


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_a_seed_that_is_none_is_refused(seed: float) -> None:
    with pytest.raises(BudgetError, match=f"seed is a whole number of 0 or more, or a generator, got {seed}"):
        load_space("digits").sample(1, seed=seed)  # type: ignore[arg-type]
