"""Every sampler of the registry keeps its contract, and the schedule opens choices as the recipe says."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasformer.architecture import Architecture
from nasformer.cost import FunctionCost
from nasformer.errors import RecipeError
from nasformer.space import SearchSpace, load_space
from nasformer.training import Recipe
from nasformer.training.sampling import (
    SamplingSchedule,
    SubnetSampler,
    get_sampler,
    reference_subnets,
    sampler_names,
)
from nasformer.training.sampling._bins import cost_bins
from nasformer.training.sampling._parts import opened, opening_order
from tests.supernet.test_dimensions import SPACE as EVERYTHING
from tests.tiny import tiny_space

DIGITS = load_space("digits")
SPACES = {"digits": DIGITS, "everything": EVERYTHING, "tiny": tiny_space()}
OPTIONS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 9),
        "sampling": st.sampled_from(sampler_names()),
        "sandwich_random": st.integers(0, 3),
        "cost_bins": st.integers(2, 9),
        "inplace_distillation": st.sampled_from([True, False, "next_larger"]),
        "largest_first": st.sampled_from([0.0, 0.2]),
        "open_choices": st.sampled_from([0.0, 0.1, 0.6, 1.0]),
        "epochs": st.integers(1, 5),
        "warmup_epochs": st.just(0),
    }
)


def budget_of(space: SearchSpace, cost: str, low: float, high: float) -> dict[str, Any]:
    """Bounds at two shares of the range of a cost, which something meets."""
    first, last = space.feasible().bounds(cost)
    return {cost: [first + low * (last - first), first + high * (last - first)]}


@pytest.mark.parametrize("name", sampler_names())
def test_a_sampler_is_named_by_its_file_and_made_of_space_and_recipe(name: str, root: Path) -> None:
    assert (root / "nasformer" / "training" / "sampling" / f"{name}.py").is_file()
    sampler = get_sampler(name)(DIGITS, Recipe(sampling=name))
    drawn = sampler.draw(6, seed=1)
    assert len(drawn) == 6
    assert drawn == get_sampler(name)(DIGITS, Recipe(sampling=name)).draw(6, seed=1) != sampler.draw(6, seed=2)
    assert sampler.draw(0, seed=1) == []


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SPACES)), OPTIONS, st.sampled_from([None, ("params", 0.2, 0.7), ("macs", 0.5, 0.9)]))
def test_every_draw_is_feasible_and_a_function_of_seed_and_place(
    name: str, options: dict[str, Any], bounds: tuple[str, float, float] | None
) -> None:
    space = SPACES[name]
    recipe = Recipe(**options, budget=None if bounds is None else budget_of(space, *bounds))
    draws, feasible = SamplingSchedule(space, recipe), space.feasible(**(recipe.budget or {}))
    for epoch in (0, recipe.epochs - 1):
        steps = draws(epoch, 7)
        assert len(steps) == 7
        assert all(subnets and all(each in feasible for each in subnets) for subnets in steps)
        if recipe.inplace_distillation == "next_larger":
            assert all(space.macs(a) >= space.macs(b) for subnets in steps for a, b in pairwise(subnets))
    assert SamplingSchedule(space, recipe)(recipe.epochs - 1, 7) == steps


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(SPACES)), st.floats(0.05, 1), st.integers(0, 60))
def test_choices_open_one_at_a_time_and_never_close(name: str, share: float, step: int) -> None:
    space, order = SPACES[name], opening_order(SPACES[name])
    draws = SamplingSchedule(space, Recipe(epochs=3, warmup_epochs=0, open_choices=share))
    place = step / 60  # of the training
    count = len(order) if place >= share else int(len(order) * place / share)
    part = opened(space, order[:count])
    epoch, inside = divmod(step, 20)
    if epoch < 3:
        assert draws(epoch, 20)[inside][0] in part
    assert part.largest == space.largest
    assert opened(space, order).size() == space.size()
    sizes = [opened(space, order[:number]).size() for number in range(len(order) + 1)]
    assert sorted(set(sizes)) == sizes


def test_layers_open_before_the_network_and_skips_last() -> None:
    names = [(name, value == 0) for name, value in opening_order(EVERYTHING)]
    skips, network = [skip for _, skip in names], [name in ("embed_dim", "depth") for name, skip in names if not skip]
    assert skips == sorted(skips)
    assert network == sorted(network)
    first = SamplingSchedule(EVERYTHING, Recipe(epochs=4, warmup_epochs=0, open_choices=1))(0, 4)[0][0]
    assert {first.embed_dim, first.depth, *first.num_heads, *first.mlp_ratio} == {24, 3, 2}


def test_the_largest_comes_first_alone() -> None:
    recipe = Recipe(epochs=4, warmup_epochs=0, sampling="sandwich", largest_first=0.375, open_choices=0.625)
    draws = SamplingSchedule(DIGITS, recipe)
    assert draws(0, 8) == [(DIGITS.largest,)] * 8
    second = draws(1, 8)
    assert second[:4] == [(DIGITS.largest,)] * 4
    assert {subnets[-1] for subnets in draws(3, 8)} == {DIGITS.smallest}
    assert any(len(set(subnets)) > 1 and subnets[-1] != DIGITS.smallest for subnets in second[4:])


def test_a_budget_that_large_subnets_exceed_opens_what_it_needs() -> None:
    budget = {"params": [0, DIGITS.params(DIGITS.smallest) + 2000]}
    draws = SamplingSchedule(DIGITS, Recipe(epochs=4, warmup_epochs=0, open_choices=1, budget=budget))
    feasible = DIGITS.feasible(**budget)
    assert all(each in feasible for (each,) in draws(0, 5))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(SPACES)), st.integers(1, 12), st.integers(0, 10_000))
def test_every_member_is_in_one_bin(name: str, count: int, seed: int) -> None:
    space = SPACES[name]
    bins = cost_bins(get_sampler("uniform")(space, Recipe()), count)
    (member,) = space.sample(1, seed=seed)
    assert sum(member in own for own in bins) == 1
    assert sum(own.count() for own in bins) == space.size()


def test_bins_train_rare_sizes_as_often_as_common_ones() -> None:
    space = load_space("autoformer-tiny")
    ends = [space.macs(space.smallest), space.macs(space.largest)]

    def rare(sampling: str) -> float:
        drawn = SamplingSchedule(space, Recipe(sampling=sampling, cost_bins=8))(0, 800)
        return sum(space.macs(each) < ends[0] + (ends[1] - ends[0]) / 8 for (each,) in drawn) / 800

    assert rare("bins") == pytest.approx(1 / 8, abs=0.04)
    assert rare("uniform") < 0.08


def test_a_stratified_sandwich_has_one_of_each_range() -> None:
    recipe = Recipe(sampling="stratified", sandwich_random=3, inplace_distillation="next_larger")
    ends = [DIGITS.macs(DIGITS.smallest), DIGITS.macs(DIGITS.largest)]
    for subnets in SamplingSchedule(DIGITS, recipe)(0, 30):
        places = [3 * (DIGITS.macs(each) - ends[0]) // (ends[1] - ends[0] + 1) for each in subnets]
        assert places == [2, 2, 1, 0, 0]


def test_bins_of_a_set_that_cannot_be_counted() -> None:
    space = DIGITS.with_cost(FunctionCost("heads", lambda arch: sum(arch.num_heads) % 4))
    recipe = Recipe(sampling="bins", budget={"heads": (3, 3)})
    assert all(sum(each.num_heads) % 4 == 3 for (each,) in SamplingSchedule(space, recipe)(0, 20))


@pytest.mark.parametrize(
    ("space", "recipe", "expected"),
    [
        (DIGITS, Recipe(seed=4), "6bbba666814707c1"),
        (DIGITS, Recipe(seed=4, sampling="sandwich"), "27ff8521d86248a5"),
        (DIGITS, Recipe(seed=4, sampling="sandwich", budget={"params": "30e3:60e3"}), "47ce7cb906572ce2"),
        (load_space("autoformer-tiny"), Recipe(seed=4, budget={"params": "5e6:6e6"}), "0537be0ecee3d2a9"),
        (EVERYTHING, Recipe(seed=1, sampling="sandwich", sandwich_random=1), "2e63821bf817d3f6"),
    ],
    ids=["uniform", "sandwich", "sandwich-budget", "uniform-budget", "skips"],
)
def test_the_subnets_of_a_seed_are_those_of_version_0_1(space: SearchSpace, recipe: Recipe, expected: str) -> None:
    drawn = [
        [each.to_dict() for each in step] for epoch in (0, 3) for step in SamplingSchedule(space, recipe)(epoch, 20)
    ]
    assert hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:16] == expected


class SmallestSampler(SubnetSampler):
    """A sampler of somebody else."""

    def draw(self, steps: int, seed: int) -> list[tuple[Architecture, ...]]:
        return [(reference_subnets(self.space, self.recipe)["smallest"],)] * steps


def test_a_sampler_of_others_comes_by_module_and_class() -> None:
    recipe = Recipe(sampling=f"{__name__}:SmallestSampler")
    assert SamplingSchedule(DIGITS, recipe)(0, 3) == [(DIGITS.smallest,)] * 3
    assert Recipe(**recipe.to_dict()) == recipe
    with pytest.raises(RecipeError, match=r"'absent.one:Any' is of a module that is not imported; import absent.one"):
        Recipe(sampling="absent.one:Any")
    with pytest.raises(RecipeError, match=r"'json:dumps' is not a sampling: it lacks the base class .*SubnetSampler"):
        Recipe(sampling="json:dumps")
    with pytest.raises(RecipeError, match="unknown sampling 'sandwhich'; did you mean 'sandwich'"):
        Recipe(sampling="sandwhich")


def test_a_sampler_of_others_comes_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "somebodys_sampling-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-sampling\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[nasformer.training.sampling]\nsmallest = {__name__}:SmallestSampler\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "smallest" in sampler_names()
    assert SamplingSchedule(DIGITS, Recipe(sampling="smallest"))(0, 2) == [(DIGITS.smallest,)] * 2
