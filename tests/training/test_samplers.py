"""Every sampler of the registry keeps its contract, and the schedule opens choices as the recipe says."""

from __future__ import annotations

import hashlib
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasformer.architecture import Architecture, uniform
from nasformer.cost import FunctionCost
from nasformer.errors import RecipeError
from nasformer.space import SearchSpace, load_space
from nasformer.supernet.saliency import saliency
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
from nasformer.training.sampling.shift import KEY, ShiftSampler
from tests.supernet.test_dimensions import SPACE as EVERYTHING
from tests.tiny import tiny_space

DIGITS = load_space("digits")
SPACES = {"digits": DIGITS, "everything": EVERYTHING, "tiny": tiny_space()}
BINS = cost_bins(get_sampler("uniform")(DIGITS, Recipe()), 4)
SHIFT = ShiftSampler(DIGITS, Recipe(sampling="shift", cost_bins=4))
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
        edge = ends[0] * (ends[1] / ends[0]) ** 0.125
        return sum(int(space.macs(each) < edge) for (each,) in drawn) / 800

    assert rare("bins") == pytest.approx(1 / 8, abs=0.04)
    assert rare("uniform") < 0.08


def test_a_stratified_sandwich_has_one_of_each_range() -> None:
    recipe = Recipe(sampling="stratified", sandwich_random=3, inplace_distillation="next_larger")
    ends = [DIGITS.macs(DIGITS.smallest), DIGITS.macs(DIGITS.largest)]
    for subnets in SamplingSchedule(DIGITS, recipe)(0, 30):
        shares = [math.log(DIGITS.macs(each) / ends[0]) / math.log(ends[1] / ends[0]) for each in subnets]
        assert [min(2, int(3 * share)) for share in shares] == [2, 2, 1, 0, 0]


def test_bins_do_not_starve_small_subnets_of_a_wide_space() -> None:
    ends = DIGITS.macs(DIGITS.smallest), DIGITS.macs(DIGITS.largest)
    assert ends[1] > 10 * ends[0]
    drawn = [DIGITS.macs(each) for (each,) in SamplingSchedule(DIGITS, Recipe(sampling="bins"))(0, 800)]
    assert sum(cost < math.prod(ends) ** 0.5 for cost in drawn) / 800 == pytest.approx(0.5, abs=0.05)


def test_the_lowest_bin_has_the_networks_of_fewest_macs_whatever_their_patches() -> None:
    space = load_space("cifar10")
    bins = cost_bins(get_sampler("uniform")(space, Recipe()), 8)
    ends = [own.bounds("macs") for own in bins]
    assert ends[0][0] == space.feasible().bounds("macs")[0]
    assert ends[-1][1] == space.feasible().bounds("macs")[1]
    assert all(first[1] < second[0] for first, second in pairwise(ends))
    coarse = uniform(48, 2, 2, 1, patch_size=8)
    assert coarse in bins[0]
    assert {each.patch_size for each in bins[0].sample(50)} == {4, 8}
    assert {each.patch_size for each in bins[-1].sample(50)} == {4}


def test_bins_of_a_set_that_cannot_be_counted() -> None:
    space = DIGITS.with_cost(FunctionCost("heads", lambda arch: sum(arch.num_heads) % 4))
    recipe = Recipe(sampling="bins", budget={"heads": (3, 3)})
    assert all(sum(each.num_heads) % 4 == 3 for (each,) in SamplingSchedule(space, recipe)(0, 20))


def shift(count: int = 4) -> ShiftSampler:
    return ShiftSampler(DIGITS, Recipe(sampling="shift", cost_bins=count))


def test_shift_prefers_the_bins_whose_losses_decrease() -> None:
    sampler = shift()
    assert sampler.probabilities.tolist() == [0.25] * 4
    sampler.learn([{KEY: [2.0, 2.0, 2.0, 2.0]}, {KEY: [1.6, 1.8, 2.0, 2.5]}])
    expected = [0.125 + 0.5 * 2 / 3, 0.125 + 0.5 / 3, 0.125, 0.125]
    assert sampler.probabilities.tolist() == pytest.approx(expected)
    drawn = sampler.draw(4000, seed=1)
    counts = np.bincount([place_of(subnet) for (subnet,) in drawn], minlength=4)
    assert (counts / 4000).tolist() == pytest.approx(expected, abs=0.03)
    sampler.learn([])
    assert sampler.probabilities.tolist() == [0.25] * 4, "all of it comes from the rows"


def place_of(subnet: Architecture) -> int:
    return next(place for place, own in enumerate(BINS) if subnet in own)


def test_shift_forgets_slowly_and_skips_epochs_without_steps() -> None:
    sampler, other = shift(2), shift(2)
    rows = [{KEY: [2.0, 2.0]}, {KEY: [1.0, 1.0]}]
    sampler.learn([*rows, {KEY: [1.0, 0.5]}])
    assert 0.5 < sampler.probabilities[1] < 0.75, "the first bin made progress before"
    sampler.learn([{KEY: [2.0, 2.0]}, {KEY: [None, 1.0]}, {KEY: [1.0, 1.0]}])
    other.learn([{KEY: [2.0, 2.0]}, {KEY: [1.0, 1.0]}, {KEY: [None, 1.0]}])
    assert sampler.probabilities[0] > 0.5, "its progress is the later one"
    assert other.probabilities[0] > 0.5
    sampler.learn([{KEY: [-1.0, 0.0]}, {KEY: [-2.0, 0.0]}])
    assert sampler.probabilities.tolist() == pytest.approx([0.75, 0.25]), "a loss may be negative or 0"
    sampler.learn([{KEY: [None, None]}, {KEY: [1.0, None]}])
    assert sampler.probabilities.tolist() == [0.5, 0.5]


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(1e-3, 1e3)), min_size=4, max_size=4), max_size=6))
def test_every_bin_keeps_a_floor(losses: list[list[float | None]]) -> None:
    sampler = SHIFT
    sampler.learn([{KEY: each} for each in losses])
    assert sampler.probabilities.sum() == pytest.approx(1)
    assert sampler.probabilities.min() >= 0.125 - 1e-9


def test_a_row_has_the_mean_loss_of_each_bin() -> None:
    steps = shift().draw(50, seed=3)
    losses = [float(number) for number in range(50)]
    (found,) = shift().summary(steps, losses).values()
    for place in range(4):
        own = [loss for (subnet,), loss in zip(steps, losses, strict=True) if place_of(subnet) == place]
        assert found[place] == pytest.approx(sum(own) / len(own))
    assert shift().summary([(DIGITS.largest,)], [2.0]) == {KEY: [None, None, None, 2.0]}


@pytest.mark.parametrize("name", sampler_names())
def test_other_samplers_learn_nothing(name: str) -> None:
    sampler = get_sampler(name)(DIGITS, Recipe(sampling=name))
    drawn = sampler.draw(5, seed=1)
    row = sampler.summary(drawn, [1.0] * 5)
    assert (row == {}) == (name != "shift")
    sampler.learn([row])
    assert sampler.draw(5, seed=1) == drawn


def test_candidates_are_the_best_of_each_bin_by_saliency() -> None:
    sampler = get_sampler("candidates")(DIGITS, Recipe(sampling="candidates", cost_bins=3, candidates=2))
    scores = saliency(DIGITS).check(DIGITS.codec)
    assert sampler.candidates is not None
    assert len(sampler.candidates) == 6
    for number, own in enumerate(cost_bins(sampler, 3)):
        scored = scores.evaluate(DIGITS.codec, own.codes())
        mine = DIGITS.codec.encode(sampler.candidates[2 * number : 2 * number + 2])
        assert scores.evaluate(DIGITS.codec, mine).tolist() == pytest.approx(np.sort(scored)[::-1][:2].tolist())
    drawn = sampler.draw(3000, seed=0)
    counts = [drawn.count((each,)) / 3000 for each in sampler.candidates]
    assert counts == pytest.approx([1 / 6] * 6, abs=0.03)
    names = sampler.references()
    assert set(names.values()) <= set(sampler.candidates)
    costs = [DIGITS.macs(names[name]) for name in ("smallest", "centroid", "largest")]
    assert costs == sorted(costs)


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
    with pytest.raises(RecipeError, match=r"'absent.one:Any'.* module is not imported; .*--trust absent.one"):
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
